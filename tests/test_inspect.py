"""What `zoo data inspect` and `zoo.inspect` show of data, and what `zoo train` says of it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

import zoo
from zoo.cli import cli


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, [*map(str, arguments)], obj={}, catch_exceptions=True)


def pets(root: Path, per_class: int = 10) -> Path:
    """Class folders of small images, each of its own colour."""
    for row, name in enumerate(("cat", "dog")):
        for number in range(per_class):
            path = root / name / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8 + number, 8), (row, number, 0)).save(path)
    return root


def mail(path: Path, *rows: str) -> Path:
    good = [f"message {number},{('ham', 'spam')[number % 2]}" for number in range(20)]
    path.write_text("\n".join(["text,label", *good, *rows]) + "\n")
    return path


def test_images_show_their_sizes_modes_and_classes(tmp_path: Path) -> None:
    source = pets(tmp_path / "pets")
    (source / "cat" / "broken.png").write_text("no image")
    found = zoo.inspect(str(source))
    assert found.problem == zoo.load_dataset(str(source)).problem
    assert found.measures == {"width": (8.0, 12.5, 17.0), "height": (8.0, 8.0, 8.0)}
    assert found.modes == {"RGB": 20}
    assert found.classes["cat"] == {"train": 6, "validation": 2, "test": 2}
    assert found.sizes == {"train": 12, "validation": 4, "test": 4}
    unusable = found.findings["unusable"]
    assert (unusable.count, unusable.share) == (1, pytest.approx(1 / 21))
    assert unusable.examples == (f"{source / 'cat' / 'broken.png'}: it is no image",)
    assert any("will cover 12 x 8 and be cropped" in line for line in found.told)


def test_the_same_image_in_train_and_test_is_found(tmp_path: Path) -> None:
    for split, count in (("train", 8), ("val", 3), ("test", 3)):
        pets(tmp_path / split, count)  # the first three colours are everywhere
    whole = zoo.inspect(str(tmp_path))
    found = whole.findings
    assert whole.warnings == ("6 test samples are in train too, so the test flatters; leave them out of one",)
    assert found["leaked"].count == 6
    assert found["leaked"].share == pytest.approx(6 / 28)
    assert found["leaked"].examples[0] == "train 0 (cat) = validation 0 (cat) = test 0 (cat)"
    assert found["duplicates"].count == 12
    assert found["conflicting"].count == 0


def test_a_text_with_two_labels_is_suspected(tmp_path: Path) -> None:
    source = mail(tmp_path / "mail.csv", "twice,ham", "twice,spam", "thrice,ham", "thrice,ham", "thrice,ham")
    found = zoo.inspect(str(source)).findings
    assert found["conflicting"].count == 2
    assert "(ham)" in found["conflicting"].examples[0]
    assert "(spam)" in found["conflicting"].examples[0]
    assert found["duplicates"].count == 3


def test_texts_show_their_length_in_bytes(tmp_path: Path) -> None:
    source = mail(tmp_path / "mail.csv", "ü,ham")
    assert zoo.inspect(str(source)).measures == {"bytes of text": (2.0, 9.0, 10.0)}


def test_series_show_their_steps(tmp_path: Path) -> None:
    rows = [{"series": list(range(5 + n)), "label": "ab"[n % 2]} for n in range(12)]
    (tmp_path / "s.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert zoo.inspect(str(tmp_path / "s.jsonl")).measures == {"steps": (5.0, 10.5, 16.0)}


@pytest.mark.parametrize("name", ["digits", "cbf", "dates", "mackey-glass"])
def test_data_by_name_is_shown_too(name: str) -> None:
    found = zoo.inspect(name)
    assert found.problem == zoo.installed().datasets[name].problem
    assert found.measures
    assert found.findings["unusable"].count == 0
    if name == "digits":
        assert found.measures == {"width": (8.0, 8.0, 8.0), "height": (8.0, 8.0, 8.0)}
        assert sum(counts["test"] for counts in found.classes.values()) == 300


def test_a_dataset_that_is_loaded_already_is_not_read_again(tmp_path: Path) -> None:
    source = mail(tmp_path / "mail.csv")
    dataset = zoo.load_dataset(str(source))
    source.unlink()
    assert zoo.inspect(dataset).sizes == {"train": 12, "validation": 4, "test": 4}


def test_the_command_says_all_of_it(tmp_path: Path) -> None:
    done = run("data", "inspect", mail(tmp_path / "mail.csv", ",ham", "lone,rare"))
    assert done.exit_code == 0
    told = " ".join(done.stdout.split())
    for expected in (
        "data mail (csv)",
        "task text-classification",
        "samples 13 train, 4 validation, 4 test",
        "split 70% train, 15% validation, 15% test, stratified by class, seed 0",
        "unusable 1 (4.5%): row 21: its text is empty",
        "duplicates 0 (0.0%)",
        "note text-classification, with text=text, label=label (guessed;",
        "warning classes without a sample to test on: 'rare'",
        "class train validation test ham 6 2 2 rare 1 0 0 spam 6 2 2",
    ):
        assert expected in told


def test_the_command_prints_json(tmp_path: Path) -> None:
    done = run("data", "inspect", mail(tmp_path / "mail.csv"), "--json")
    document = json.loads(done.stdout)
    assert document["schema"] == 1
    assert document["problem"]["task"] == "text-classification"
    assert document["sizes"] == {"train": 12, "validation": 4, "test": 4}
    assert document["classes"]["ham"] == {"train": 6, "validation": 2, "test": 2}
    assert document["measures"] == {"bytes of text": [9.0, 9.5, 10.0]}
    assert document["findings"]["leaked"] == {"count": 0, "share": 0.0, "examples": []}
    assert document["notes"]
    assert document["warnings"] == []


def test_the_command_takes_columns_and_a_task(tmp_path: Path) -> None:
    file = tmp_path / "m.csv"
    file.write_text("a,b,c\n" + "".join(f"text {n},{'xy'[n % 2]},{n // 4}\n" for n in range(40)))
    asked = ("data", "inspect", file, "--columns", "text=a,label=b", "--group-by", "c", "--json")
    document = json.loads(run(*asked).stdout)
    assert set(document["classes"]) == {"x", "y"}
    assert "whole groups" in document["split"]
    other = json.loads(
        run("data", "inspect", file, "--columns", "text=a", "--task", "language-modeling", "--json").stdout
    )
    assert other["problem"]["task"] == "language-modeling"


def test_the_recommender_and_training_see_the_same_problem(tmp_path: Path) -> None:
    source = mail(tmp_path / "mail.csv")
    problem = zoo.inspect(str(source)).problem
    answer = zoo.recommend(data=str(source), device="cpu")
    assert answer.problem == problem
    trained = zoo.train(
        "cnn/textcnn", str(source), output=tmp_path / "run", settings={"steps": 1}, device="cpu"
    )
    assert trained.record.problem == problem


def test_training_says_on_stderr_what_it_read(tmp_path: Path) -> None:
    source = mail(tmp_path / "mail.csv", ",ham")
    command = ("train", "cnn/textcnn", "--data", source, "-o", "steps=1", "--device", "cpu", "--output")
    done = run(*command, tmp_path / "one")
    assert done.exit_code == 0
    assert "data: csv; split: 70% train" in done.stderr
    assert "data: text-classification, with text=text, label=label (guessed;" in done.stderr
    assert "warning: skipped 1 of 21 samples: row 21: its text is empty" in done.stderr
    assert "skipped" not in done.stdout
    quiet = run("-q", *command, tmp_path / "two")
    assert (quiet.exit_code, quiet.stderr) == (0, "")
    strict = run(*command, tmp_path / "three", "--strict")
    assert isinstance(strict.exception, zoo.DataError)
    assert not (tmp_path / "three").exists()


def test_a_run_that_is_resumed_keeps_how_its_data_was_read(tmp_path: Path) -> None:
    done = run("train", "--resume", tmp_path / "run", "--columns", "text=a")
    assert done.exit_code == 2
    assert "keeps its model and settings" in done.stderr


def test_nothing_is_left_beside_the_data(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    given = (pets(folder / "pets"), mail(folder / "mail.csv"), folder / "walk.npy")
    np.save(folder / "walk.npy", np.arange(100.0))
    before = sorted(folder.rglob("*"))
    for data in given:
        zoo.inspect(str(data))
    assert sorted(folder.rglob("*")) == before


def test_looking_into_data_imports_no_torch(tmp_path: Path) -> None:
    source = pets(tmp_path / "pets")
    code = (
        "import sys, zoo; "
        f"[zoo.inspect(data) for data in ({str(source)!r}, {str(mail(tmp_path / 'mail.csv'))!r})]; "
        "print(sorted({'torch', 'timm', 'datasets'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_model_is_judged_on_other_data_with_columns_of_its_own(tmp_path: Path) -> None:
    source = mail(tmp_path / "mail.csv")
    zoo.train("cnn/textcnn", str(source), output=tmp_path / "run", settings={"steps": 1}, device="cpu")
    (tmp_path / "other.csv").write_text(source.read_text().replace("text,label", "review,stars"))
    judged = run("evaluate", tmp_path / "run", "--data", tmp_path / "other.csv", "--device", "cpu")
    assert isinstance(judged.exception, zoo.DataError)
    columns = ("--columns", "text=review,label=stars")
    judged = run("evaluate", tmp_path / "run", "--data", tmp_path / "other.csv", "--device", "cpu", *columns)
    assert "macro_f1" in judged.stdout
    assert run("evaluate", tmp_path / "run", *columns).exit_code == 2
