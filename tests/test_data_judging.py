"""Data on which a model is judged: with a split to train on or without, of some of its classes or others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from datafiles import folder, picture, write_table

import zoo
from zoo.cli import cli


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, [*map(str, arguments)], obj={}, catch_exceptions=True)


def evaluated(model: Path, data: Path, *arguments: str) -> dict[str, Any]:
    """What `zoo evaluate --json` prints."""
    done = run("evaluate", model, "--data", data, "--device", "cpu", "--json", *arguments)
    assert done.exit_code == 0, done.exception
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def refusal(model: Path, data: Path, *arguments: str) -> str:
    """The one line of what is refused."""
    done = run("evaluate", model, "--data", data, "--device", "cpu", *arguments)
    assert isinstance(done.exception, zoo.ZooError)
    assert "\n" not in str(done.exception)
    return str(done.exception)


@pytest.fixture(scope="module")
def pets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that tells red cats from black dogs, which it learnt from a folder without splits."""
    place = tmp_path_factory.mktemp("pets")
    source = place / "pets"
    for number in range(20):
        picture(source / "cat" / f"{number}.png", shade=250)
        picture(source / "dog" / f"{number}.png", shade=number)
    settings = {"epochs": 3, "batch_size": 8, "lr": 1e-2, "warmup_epochs": 0}
    zoo.train("cnn/lenet5", str(source), output=place / "run", settings=settings, device="cpu")
    return place / "run"


@pytest.fixture(scope="module")
def letters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one step that tells texts of the classes a and b apart."""
    place = tmp_path_factory.mktemp("letters")
    source = write_table(place / "t.csv", f"{'x' * 40},a")
    zoo.train("cnn/textcnn", str(source), output=place / "run", settings={"steps": 1}, device="cpu")
    return place / "run"


def test_a_folder_with_a_test_split_alone_is_judged(tmp_path: Path, pets: Path) -> None:
    for number in range(3):
        picture(tmp_path / "new" / "test" / "cat" / f"{number}.png", shade=250)
    picture(tmp_path / "new" / "test" / "dog" / "0.png", shade=0)
    found = evaluated(pets, tmp_path / "new")
    assert (found["samples"], found["split"]) == (4, "test")
    assert found["metrics"]["accuracy"]["value"] == 1.0
    assert found["baseline"]["metrics"]["accuracy"] == 0.75
    done = run("evaluate", pets, "--data", tmp_path / "new", "--device", "cpu")
    assert "split: test alone, as given, by which the trivial predictor goes too" in done.stderr


def test_the_split_that_there_is_has_to_be_named(tmp_path: Path, pets: Path) -> None:
    folder(tmp_path / "new" / "val", 2)
    where = repr(str(tmp_path / "new"))
    told = f"{where} has no split 'test'; it has: validation; say which: --split"
    assert refusal(pets, tmp_path / "new") == told
    assert evaluated(pets, tmp_path / "new", "--split", "validation")["samples"] == 4


def test_a_folder_without_splits_is_judged_whole_where_that_is_asked(tmp_path: Path, pets: Path) -> None:
    folder(tmp_path / "new", 10)
    assert evaluated(pets, tmp_path / "new")["samples"] == 4  # the test split of those that were drawn
    assert evaluated(pets, tmp_path / "new", "--split", "all")["samples"] == 20
    assert zoo.evaluate(pets, str(tmp_path / "new"), split="all").samples == 20
    folder(tmp_path / "given" / "train", 5)
    folder(tmp_path / "given" / "test", 5)
    assert "has no split 'all'; it has: train, validation, test" in refusal(
        pets, tmp_path / "given", "--split", "all"
    )


def test_a_single_class_of_the_models_is_enough(tmp_path: Path, pets: Path) -> None:
    picture(tmp_path / "new" / "test" / "dog" / "0.png", shade=0)
    found = evaluated(pets, tmp_path / "new")
    assert (found["samples"], found["metrics"]["accuracy"]["value"]) == (1, 1.0)


def test_a_class_that_the_model_does_not_know_is_one_line(tmp_path: Path, pets: Path) -> None:
    folder(tmp_path / "new" / "test", 2)
    picture(tmp_path / "new" / "test" / "zebra" / "0.png")
    assert refusal(pets, tmp_path / "new") == (
        "data 'new' has classes that cnn/lenet5.run does not know: zebra; it knows: cat, dog"
    )


def test_a_table_with_a_test_split_alone_is_judged(tmp_path: Path, letters: Path) -> None:
    rows = [f"text {number},b,test" for number in range(5)]
    (tmp_path / "new.csv").write_text("\n".join(["text,label,split", *rows, f"{'y' * 99},a,test"]) + "\n")
    found = evaluated(letters, tmp_path / "new.csv")
    assert found["samples"] == 6
    assert found["baseline"]["metrics"]["accuracy"] == pytest.approx(5 / 6)
    assert found["notes"] == [
        "1 of 6 texts (text) are longer than 40 tokens and cut there: 45.7% of all tokens are left out"
    ]


def test_pairs_and_texts_are_judged_without_a_split_to_train_on(tmp_path: Path) -> None:
    pairs = [{"source": f"s{number}", "target": f"t{number}"} for number in range(20)]
    (tmp_path / "p.jsonl").write_text("".join(json.dumps(pair) + "\n" for pair in pairs))
    settings = {"steps": 1}
    zoo.train("lstm/seq2seq", str(tmp_path / "p.jsonl"), output=tmp_path / "pairs", settings=settings)
    (tmp_path / "q.jsonl").write_text("".join(json.dumps({**p, "split": "test"}) + "\n" for p in pairs[:3]))
    assert evaluated(tmp_path / "pairs", tmp_path / "q.jsonl")["samples"] == 3
    (tmp_path / "book.txt").write_text("a word and another, " * 200)
    zoo.train("lstm/language_model", str(tmp_path / "book.txt"), output=tmp_path / "lm", settings=settings)
    (tmp_path / "new" / "test").mkdir(parents=True)
    (tmp_path / "new" / "test" / "1.txt").write_text("a word and another, " * 100)
    whole = evaluated(tmp_path / "lm", tmp_path / "new")
    assert whole["metrics"]["bits_per_byte"]["value"] > whole["baseline"]["metrics"]["bits_per_byte"] > 0


def test_texts_that_are_longer_than_the_model_sees_are_told_of(letters: Path) -> None:
    long, short = "z" * 60, "short"
    done = run("predict", letters, long, short, "--device", "cpu")
    assert done.exit_code == 0
    told = "1 of 2 texts (text) are longer than 40 tokens and cut there: 30.8% of all tokens are left out"
    assert done.stderr == f"data: {told}\n"
    assert len(done.stdout.splitlines()) == 2
    assert run("predict", letters, short, "--device", "cpu").stderr == ""
    assert run("-q", "predict", letters, long, "--device", "cpu").stderr == ""
