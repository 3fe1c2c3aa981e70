"""`zoo predict` with the shipped weights: files, folders, tables and texts in, tables and lines out."""

from __future__ import annotations

import csv
import json
import math
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import torch
from click.testing import CliRunner, Result

import zoo
from zoo import api
from zoo.cli import cli
from zoo.data.items import Item
from zoo.predictions import Prediction
from zoo.predictions.writing import writing
from zoo.tasks.language_modeling import as_told
from zoo.tokenizers import ByteTokenizer

DIGITS = "cnn/lenet5.digits"
HISTORY = " ".join(str(math.sin(step / 5)) for step in range(96))
MEGABYTE = 1 << 20


def shell(*arguments: str | Path, given: str = "", status: int = 0) -> subprocess.CompletedProcess[str]:
    """`zoo` in a process of its own, without a traceback."""
    command = (sys.executable, "-m", "zoo", *map(str, arguments))
    done = subprocess.run(command, capture_output=True, text=True, check=False, input=given)
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    return done


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, [*map(str, arguments), "--device", "cpu"], obj={}, catch_exceptions=True)


def refusal(*arguments: str | Path) -> str:
    """The one line of what is refused."""
    done = run(*arguments)
    assert isinstance(done.exception, zoo.ZooError), done.output
    assert "\n" not in str(done.exception)
    return str(done.exception)


def rows_of(path: Path, delimiter: str = ",") -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file, delimiter=delimiter))


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder that nobody else writes to."""
    folder = tmp_path / "place"
    folder.mkdir()
    return folder


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of three digits, one of them deeper, beside a file that is no image."""
    place = tmp_path_factory.mktemp("digits")
    (place / "more").mkdir()
    for index, name in enumerate(("b.png", "a.png", "more/c.png")):
        run_args = ["datasets", "sample", "digits", "--index", str(index), "--output", str(place / name)]
        assert CliRunner().invoke(cli, run_args, obj={}).exit_code == 0
    (place / "notes.txt").write_text("no image")
    return place


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small run of one step that tells short texts of the classes a and b apart."""
    place = tmp_path_factory.mktemp("texts")
    rows = [f"{'ab'[number % 2]} {number:02},{'ab'[number % 2]}" for number in range(40)]
    (place / "t.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    zoo.train("cnn/textcnn", str(place / "t.csv"), output=place / "run", settings={"steps": 1}, device="cpu")
    return place / "run"


# -- from the shell, for each task --------------------------------------------------------------


def test_a_folder_of_images_becomes_a_table(digits: Path, place: Path) -> None:
    out = place / "o.csv"
    done = shell("predict", DIGITS, digits, "--probabilities", "--out", out)
    assert done.stdout == f"written: {out}, 3 predictions\n"
    rows = rows_of(out)
    assert [row["item"] for row in rows] == [str(digits / name) for name in ("a.png", "b.png", "more/c.png")]
    for row in rows:
        shares = {str(digit): float(row[f"probability_{digit}"]) for digit in range(10)}
        assert sum(shares.values()) == pytest.approx(1, abs=1e-4)
        assert max(shares, key=shares.__getitem__) == row["label"]
        assert float(row["probability"]) == shares[row["label"]]
    assert [path.name for path in place.iterdir()] == ["o.csv"]


def test_texts_come_from_the_command_standard_input_and_files(tmp_path: Path) -> None:
    (tmp_path / "code.txt").write_text("import os")
    model = "lstm/classifier.snippets"
    asked = ("import os", "-", str(tmp_path / "code.txt"), f"{tmp_path}/")
    done = shell("predict", model, *asked, "--top", "2", "--json", given="return x\nimport os\n")
    records = [json.loads(line) for line in done.stdout.splitlines()]
    file = str(tmp_path / "code.txt")
    assert [record["item"] for record in records] == ["import os", "return x", "import os", file, file]
    tops = [list(record["top"]) for record in records]
    assert all(len(top) == 2 for top in tops)
    assert tops[0] == tops[2] == tops[3] == tops[4]


def test_pairs_are_translated_from_a_table(tmp_path: Path) -> None:
    (tmp_path / "q.tsv").write_text("id\tsaid\n7\t3 May 2021\n8\tJULY 4, 1999\n")
    out = tmp_path / "o.jsonl"
    shell(
        "predict",
        "lstm/seq2seq.dates",
        "--data",
        tmp_path / "q.tsv",
        "--columns",
        "source=said",
        "--out",
        out,
    )
    records = [json.loads(line) for line in out.read_text().splitlines()]
    assert [(record["row"], record["item"], record["text"]) for record in records] == [
        (1, "3 May 2021", "2021-05-03"),
        (2, "JULY 4, 1999", "1999-07-04"),
    ]


def test_series_are_classified_from_parquet(tmp_path: Path) -> None:
    columns = zoo.load_dataset("control").splits["test"]
    series = np.asarray(columns["series"])[:5, :, 0]
    table = pa.table({"series": [row.tolist() for row in series], "n": list(range(5))})
    pyarrow.parquet.write_table(table, tmp_path / "s.parquet")
    done = shell("predict", "cnn/fcn.control", "--data", tmp_path / "s.parquet", "--json")
    found = [json.loads(line) for line in done.stdout.splitlines()]
    given = zoo.predict("cnn/fcn.control", [" ".join(map(str, row.tolist())) for row in series])
    assert [record["label"] for record in found] == [record["label"] for record in given]
    assert [record["item"] for record in found] == [f"row {row}" for row in range(1, 6)]


def test_a_series_goes_on_step_by_step(tmp_path: Path) -> None:
    values = HISTORY.split()
    (tmp_path / "h.csv").write_text(
        "\n".join(["time,value", *(f"{t},{v}" for t, v in enumerate(values))]) + "\n"
    )
    shell(
        "predict",
        "transformer/patchtst.mackey-glass",
        "--data",
        tmp_path / "h.csv",
        "--out",
        tmp_path / "f.csv",
    )
    rows = rows_of(tmp_path / "f.csv")
    assert [row["step"] for row in rows] == [str(step) for step in range(1, 25)]
    (record,) = zoo.predict("transformer/patchtst.mackey-glass", HISTORY)
    expected = [step[0] for step in record["forecast"]]
    assert [float(row["forecast"]) for row in rows] == pytest.approx(expected, rel=1e-4)


def test_a_language_model_goes_on(tmp_path: Path) -> None:
    (tmp_path / "book.txt").write_text("a word and another, " * 200)
    run_folder = tmp_path / "lm"
    zoo.train("lstm/language_model", str(tmp_path / "book.txt"), output=run_folder, settings={"steps": 1})
    (tmp_path / "p.jsonl").write_text('{"text": "a word"}\n{"text": "and"}\n')
    done = run("predict", run_folder, "--data", tmp_path / "p.jsonl", "--length", "5", "--json")
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert [record["prompt"] for record in records] == ["a word", "and"]


def test_quantiles_are_columns_of_their_own(tmp_path: Path) -> None:
    settings = {"steps": 1, "batch_size": 2, "eval_samples": 8}
    zoo.train("lstm/deepar", "mackey-glass", output=tmp_path / "run", settings=settings, units=4, layers=1)
    done = run("predict", tmp_path / "run", HISTORY, "--quantiles", "0.9,0.2", "--out", tmp_path / "f.csv")
    assert done.exit_code == 0
    rows = rows_of(tmp_path / "f.csv")
    assert list(rows[0]) == ["item", "step", "forecast", "q0.2", "q0.9"]
    assert all(float(row["q0.2"]) < float(row["q0.9"]) for row in rows)
    told = refusal("predict", "lstm/forecaster.mackey-glass", HISTORY, "--quantiles", "0.5")
    assert told == "lstm/forecaster.mackey-glass gives no quantiles; leave out --quantiles"
    assert "such as 0.1,0.5,0.9" in refusal("predict", tmp_path / "run", HISTORY, "--quantiles", "2")


# -- what cannot be read ------------------------------------------------------------------------


def test_an_unreadable_file_among_many_is_named_and_the_rest_is_done(digits: Path, tmp_path: Path) -> None:
    content = (digits / "a.png").read_bytes()
    for number in range(200):
        (tmp_path / f"{number:03}.png").write_bytes(content if number != 77 else b"broken")
    out = tmp_path / "o.csv"
    done = shell("predict", DIGITS, tmp_path, "--out", out, status=1)
    assert done.stderr.splitlines() == [
        f"zoo: '{tmp_path}/077.png' cannot be read as an image: it is no image",
        "zoo: 1 of 200 items cannot be read; the others are done",
    ]
    kept = [Path(row["item"]).name for row in rows_of(out)]
    assert kept == [f"{number:03}.png" for number in range(200) if number != 77]


def test_a_row_without_a_text_is_named(texts: Path, tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text('{"text": "a 01"}\n{"other": 1}\n{"text": "b 02"}\n')
    done = run("predict", texts, "--data", tmp_path / "t.jsonl", "--json")
    assert [json.loads(line)["row"] for line in done.stdout.splitlines()] == [1, 3]
    assert done.stderr == "zoo: row 2 holds no text\n"
    assert str(done.exception) == "1 of 3 items cannot be read; the others are done"


def test_bad_input_is_one_line(digits: Path, texts: Path, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("alpha,beta\n1,x\n2,y\n")
    told = refusal("predict", DIGITS, "--data", tmp_path / "t.csv")
    assert "has the columns alpha, beta; which of them is the image" in told
    columns = ("--data", tmp_path / "t.csv", "--columns", "text=gamma")
    assert "no column 'gamma' for text" in refusal("predict", texts, *columns)
    assert "has no weights loaded" in refusal("predict", "cnn/lenet5", digits)
    assert refusal("predict", DIGITS, digits / "none.png") == f"no such image: '{digits / 'none.png'}'"
    (tmp_path / "empty").mkdir()
    assert "holds no file that an image is read from" in refusal("predict", DIGITS, tmp_path / "empty")
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "run.json").write_bytes((texts / "run.json").read_bytes())
    assert str(tmp_path / "half") in refusal("predict", tmp_path / "half", "a text")


def test_a_file_is_never_written_over_and_never_half_there(digits: Path, place: Path) -> None:
    out = place / "o.csv"
    out.write_text("mine")
    told = f"{str(out)!r} exists already; choose another --out"
    assert refusal("predict", DIGITS, digits, "--out", out) == told
    assert out.read_text() == "mine"
    assert "is of no known format; known: .csv" in refusal(
        "predict", DIGITS, digits, "--out", place / "o.xls"
    )
    broken = place / "broken.png"
    broken.write_bytes(b"broken")
    assert "it is no image" in refusal("predict", DIGITS, broken, "--out", place / "p.csv")
    with pytest.raises(KeyboardInterrupt):
        interrupted(place / "q.csv")
    assert sorted(path.name for path in place.iterdir()) == ["broken.png", "o.csv"]


def interrupted(path: Path) -> None:
    """Writes one prediction and is stopped in the middle."""
    with writing(path) as write:
        write(Prediction(Item("x"), {"text": "y"}))
        raise KeyboardInterrupt


def test_nothing_or_two_things_to_predict_is_wrong_usage(digits: Path) -> None:
    assert run("predict", DIGITS).exit_code == 2
    assert run("predict", DIGITS, digits, "--data", digits).exit_code == 2
    assert run("predict", DIGITS, digits, "--columns", "image=x").exit_code == 2


# -- images in tables, and many items -----------------------------------------------------------


def test_images_stand_in_tables_as_files_and_as_bytes(digits: Path, tmp_path: Path) -> None:
    (digits / "files.csv").write_text("file,n\na.png,1\nmore/c.png,2\n")
    content = [(digits / name).read_bytes() for name in ("a.png", "more/c.png")]
    kept = pa.table({"image": [{"bytes": each, "path": None} for each in content]})
    pyarrow.parquet.write_table(kept, tmp_path / "images.parquet")
    expected = [
        record["label"] for record in zoo.predict(DIGITS, [digits / "a.png", digits / "more" / "c.png"])
    ]
    for table in (digits / "files.csv", tmp_path / "images.parquet"):
        found = [each.record for each in api.predictions(DIGITS, data=str(table))]
        assert [record and record["label"] for record in found] == expected


def test_memory_does_not_grow_with_the_number_of_texts(texts: Path, tmp_path: Path) -> None:
    module = zoo.load(texts)

    def peak(count: int) -> int:
        path = tmp_path / f"{count}.jsonl"
        with path.open("w") as file:
            file.writelines(f'{{"text": "a {row}", "n": {row}}}\n' for row in range(count))
        tracemalloc.start()
        try:
            found = api.predictions(module, data=str(path), batch_size=256)
            assert sum(each.record is not None for each in found) == count
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(300)  # what is made once for all
    assert peak(20_000) - peak(2_000) < 2 * MEGABYTE


# -- texts that are written on ----------------------------------------------------------------

LANGUAGE = "transformer/gpt.stdlib"


def test_a_text_goes_on_as_it_is_told_to() -> None:
    options = ("def ", "--length", "30", "--device", "cpu")
    likeliest = shell("predict", LANGUAGE, *options, "--temperature", "0").stdout
    assert likeliest.startswith("def ")
    assert len(likeliest.encode()) == len("def ") + 30 + 1
    assert shell("predict", LANGUAGE, *options, "--top-k", "1").stdout == likeliest
    other = shell("predict", LANGUAGE, *options, "--top-p", "0.9", "--repetition-penalty", "1.3").stdout
    assert other.startswith("def ")
    assert other != likeliest


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
def test_a_text_is_shown_on_a_terminal_while_it_is_written() -> None:
    import pty

    ours, theirs = pty.openpty()
    command = (sys.executable, "-m", "zoo", "predict", LANGUAGE, "def ", "--length", "300", "--device", "cpu")
    with subprocess.Popen(command, stdout=theirs, stdin=subprocess.DEVNULL):
        os.close(theirs)
        pieces = list(pieces_of(ours))
    os.close(ours)
    assert len(pieces) > 10
    assert b"".join(pieces).decode().replace("\r\n", "\n") == shell(*command[3:]).stdout


def pieces_of(terminal: int) -> Iterator[bytes]:
    """What comes out of a terminal until the other side is closed."""
    while True:
        try:
            piece = os.read(terminal, 4096)
        except OSError:  # so Linux says that it is
            return
        if not piece:
            return
        yield piece


def test_a_character_is_shown_when_all_its_bytes_are_there() -> None:
    tokenizer = ByteTokenizer()
    (tokens,) = tokenizer.encode(["aé€"])
    drawn = iter(torch.tensor(tokens.tolist())[:, None, None])
    shown: list[str] = []
    assert len(list(as_told(drawn, tokenizer, shown.append))) == 6
    assert shown == ["a", "", "é", "", "", "€"]
