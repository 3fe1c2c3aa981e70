"""Tables and text files: every format, and what is wrong with some of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
from datafiles import ROWS, WRITERS, reading_of, refused, write_csv, write_table

import zoo
from zoo.data.dataset import SPLITS
from zoo.data.sources.files import unchanged
from zoo.registry import Registry

# -- tables -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WRITERS)
def test_texts_and_labels_are_the_same_from_every_format(tmp_path: Path, name: str) -> None:
    WRITERS[name](tmp_path / name)
    dataset = zoo.load_dataset(str(tmp_path / name))
    assert (dataset.name, dataset.source) == ("mail", str(tmp_path / name))
    assert dataset.problem.task == "text-classification"
    assert dataset.labels == ("ham", "spam")
    assert [dataset.size(split) for split in SPLITS] == [12, 4, 4]
    pairs = {
        (text, dataset.labels[label])
        for split in SPLITS
        for text, label in zip(
            dataset.splits[split]["text"], dataset.splits[split]["labels"].tolist(), strict=True
        )
    }
    assert pairs == set(ROWS)


@pytest.mark.parametrize("column", ["label", "labels", "class"])
def test_labels_may_be_numbers_and_go_by_several_names(tmp_path: Path, column: str) -> None:
    file = tmp_path / "data.csv"
    file.write_text(f"text,{column}\n" + "".join(f"t{number},{number % 3}\n" for number in range(30)))
    assert zoo.load_dataset(str(file)).labels == ("0", "1", "2")


def test_source_and_target_make_pairs(tmp_path: Path) -> None:
    file = tmp_path / "pairs.jsonl"
    file.write_text("".join(json.dumps({"source": "x" * n, "target": "y" * n}) + "\n" for n in range(1, 21)))
    dataset = zoo.load_dataset(str(file))
    assert dataset.problem.task == "seq2seq"
    assert [dataset.size(split) for split in SPLITS] == [14, 3, 3]
    assert dataset.problem.input == zoo.TokenInput(vocab_size=259, length=20)
    assert dataset.problem.output == zoo.TokenOutput(vocab_size=259, length=22)  # begin and end
    for columns in dataset.splits.values():
        assert [len(text) for text in columns["source"]] == [len(text) for text in columns["target"]]


def test_a_text_file_is_cut_into_three_in_order(tmp_path: Path) -> None:
    text = "".join(f"line {number}\n" for number in range(400))
    (tmp_path / "book.txt").write_text(text)
    dataset = zoo.load_dataset(str(tmp_path / "book.txt"))
    assert dataset.problem.task == "language-modeling"
    parts = [dataset.splits[split]["text"][0] for split in SPLITS]
    assert "".join(parts) == text
    assert [len(part) / len(text) for part in parts] == pytest.approx([0.7, 0.15, 0.15], abs=1e-3)


def test_many_documents_are_split_whole(tmp_path: Path) -> None:
    file = tmp_path / "documents.csv"
    documents = {f"document {number}" for number in range(40)}
    file.write_text("text\n" + "\n".join(sorted(documents)) + "\n")
    dataset = zoo.load_dataset(str(file))
    assert dataset.problem.task == "language-modeling"
    assert {text for split in SPLITS for text in dataset.splits[split]["text"]} == documents
    assert [dataset.size(split) for split in SPLITS] == [28, 6, 6]


FAULTS = {
    "empty.csv": ("", "is empty"),
    "header.csv": ("text,label\n", "holds no rows under its header"),
    "one.csv": ("text,label\n" + "hello,spam\n" * 9, "single class, 'spam'"),
    "columns.csv": ("review,stars\nfine,5\n", "has the columns review, stars; expected text and label"),
    "which.csv": (
        "text,stars\nfine,5\n",
        "has texts and the columns stars; if one is the label say --columns",
    ),
    "ragged.csv": ("text,label\na,x\nb,y,z\n", "cannot be read as csv: Row #3: Expected 2 columns, got 3"),
    "broken.jsonl": ('{"text": "a", "label": "x"}\n{"text": "a", "lab', "cannot be read as json: line 2"),
    "fake.parquet": ("not parquet at all", "cannot be read as parquet"),
    "fake.arrow": ("not arrow at all", "cannot be read as arrow"),
    "table.xlsx": ("x", "is of no known format; known: .csv"),
    "few.csv": ("text,label\na,x\nb,y\n", "its validation split would hold no sample"),
    "numbers.csv": ("1,2,3\n4,5,6\n", "begins with numbers where names of columns are expected"),
    "scores.csv": (
        "text,label\n" + "".join(f"t{n},{n / 7}\n" for n in range(40)),
        "has 40 different labels in 40 samples, such as '0.0'; that is no column of classes: say --columns",
    ),
    "twice.csv": ("text,text,label\na,b,x\n", "has two columns named 'text'; rename one of them"),
    "inner.jsonl": ('{"text": {"a": 1}, "label": "x"}\n', "expected text and label"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_table_that_is_no_good_is_refused_in_one_line(tmp_path: Path, name: str) -> None:
    content, told = FAULTS[name]
    (tmp_path / name).write_text(content)
    message = refused(tmp_path / name)
    assert told in message
    assert name.split(".")[0] in message


def test_a_wrong_name_is_told_with_the_closest(tmp_path: Path) -> None:
    assert refused("digit") == "no file, folder or data set named 'digit'; did you mean digits?"
    assert "data sets by name: " in refused(tmp_path / "nothing")


def test_a_plugins_loader_must_give_a_dataset() -> None:
    class Broken(Registry):
        def dataset_loader(self, name: str) -> Any:
            return lambda: [1, 2, 3]

    with pytest.raises(zoo.PluginError, match=r"returned a list where a zoo\.Dataset was expected"):
        zoo.load_dataset("digits", registry=Broken([]))


# -- bad tables -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (",a", "skipped 1 of 21 samples: row 21: its text is empty"),
        ('"  ",a', "skipped 1 of 21 samples: row 21: its text is empty"),
        ("hello,", "skipped 1 of 21 samples: row 21: it has no label"),
        ("hello,NaN", "skipped 1 of 21 samples: row 21: it has no label"),
        ("hello,nan", "skipped 1 of 21 samples: row 21: it has no label"),
    ],
)
def test_a_row_that_lacks_something_is_skipped_and_named(tmp_path: Path, row: str, told: str) -> None:
    file = write_table(tmp_path / "t.csv", row)
    assert reading_of(file).warnings == (told,)
    assert "with --strict none may be" in refused(file, strict=True)


def test_missing_labels_of_json_and_parquet_are_the_same(tmp_path: Path) -> None:
    rows = [{"text": f"t{n}", "label": None if n == 3 else n % 2} for n in range(20)]
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    floats = [{**row, "label": None if row["label"] is None else float(row["label"])} for row in rows]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(floats), tmp_path / "t.parquet")
    for name in ("t.jsonl", "t.parquet"):
        dataset = zoo.load_dataset(str(tmp_path / name))
        assert dataset.labels == ("0", "1")  # and not 0.0
        assert dataset.reading
        assert dataset.reading.warnings == ("skipped 1 of 20 samples: row 4: it has no label",)


def test_labels_stay_as_they_are_written(tmp_path: Path) -> None:
    rows = [f"t{number},{label}" for number, label in enumerate(["01", "1", "NA", "None", "10", "2"] * 6)]
    (tmp_path / "t.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    assert set(zoo.load_dataset(str(tmp_path / "t.csv")).labels) == {"01", "1", "NA", "None", "10", "2"}
    numbers = [f"t{number},{number % 12}" for number in range(60)]
    (tmp_path / "n.csv").write_text("\n".join(["text,label", *numbers]) + "\n")
    assert zoo.load_dataset(str(tmp_path / "n.csv")).labels == tuple(map(str, range(12)))


def test_a_column_of_mixed_types_is_read_as_text(tmp_path: Path) -> None:
    rows = [{"text": 5 if n == 7 else f"t{n}", "label": n % 2 if n < 10 else str(n % 2)} for n in range(20)]
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    dataset = zoo.load_dataset(str(tmp_path / "t.jsonl"))
    assert dataset.labels == ("0", "1")
    assert "5" in {text for split in SPLITS for text in dataset.splits[split]["text"]}


def test_numbers_that_are_none_are_named(tmp_path: Path) -> None:
    rows = [f"2024-01-{day:02},{'n/a' if day == 9 else day}" for day in range(1, 31)]
    (tmp_path / "t.csv").write_text("\n".join(["date,value", *rows]) + "\n")
    told = refused(tmp_path / "t.csv", columns={"value": "value"}, task="forecasting")
    assert told == "column 'value' holds 'n/a' in row 9 where numbers are expected"


@pytest.mark.parametrize(
    ("suffix", "separator", "told"),
    [
        ("csv", ";", "its columns are parted by semicolons, not commas"),
        ("csv", "\t", "its columns are parted by tabs, not commas"),
        ("tsv", ",", "its columns are parted by commas, not tabs"),
    ],
)
def test_a_wrong_delimiter_is_found_out_and_said(
    tmp_path: Path, suffix: str, separator: str, told: str
) -> None:
    write_csv(tmp_path / f"mail.{suffix}", separator)
    dataset = zoo.load_dataset(str(tmp_path / f"mail.{suffix}"))
    assert dataset.labels == ("ham", "spam")
    assert dataset.reading
    assert told in dataset.reading.told


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "txt"])
@pytest.mark.parametrize(
    ("encoding", "told"),
    [
        ("utf-16", "read as UTF-16, since it is not UTF-8"),
        ("utf-16-le", "read as UTF-16, since it is not UTF-8"),
        ("utf-16-be", "read as UTF-16, since it is not UTF-8"),
        ("latin-1", "read as Latin-1, since it is not UTF-8"),
        ("utf-8-sig", ""),
        ("utf-8", ""),
    ],
)
def test_text_in_another_encoding_is_read_right(
    tmp_path: Path, suffix: str, encoding: str, told: str
) -> None:
    words = [f"Größe {number} à la carte" for number in range(20)]
    content = {
        "csv": "\n".join(["text,label", *(f"{word},{'ab'[n % 2]}" for n, word in enumerate(words))]),
        "jsonl": "\n".join(
            json.dumps({"text": word, "label": "ab"[n % 2]}, ensure_ascii=False)
            for n, word in enumerate(words)
        ),
        "txt": "\n".join(words),
    }[suffix]
    file = tmp_path / f"words.{suffix}"
    file.write_text(content, encoding=encoding)
    dataset = zoo.load_dataset(str(file))
    texts = [text for split in SPLITS for text in dataset.splits[split]["text"]]
    assert sorted(texts) == sorted(words) or "".join(texts) == content
    assert dataset.reading
    assert [line for line in dataset.reading.told if "UTF-8" in line] == ([told] if told else [])


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_a_line_of_ten_megabytes_is_a_text_like_others(tmp_path: Path, suffix: str) -> None:
    long = "x" * 10_000_000
    file = write_table(tmp_path / "t.csv", f"{long},a")
    if suffix == "jsonl":
        file = tmp_path / "t.jsonl"
        rows = [{"text": f"t{n}", "label": "ab"[n % 2]} for n in range(20)]
        file.write_text("".join(json.dumps(row) + "\n" for row in [*rows, {"text": long, "label": "a"}]))
    dataset = zoo.load_dataset(str(file))
    assert sum(map(dataset.size, SPLITS)) == 21
    assert dataset.problem.input == zoo.TokenInput(vocab_size=259, length=512)
    assert dataset.reading
    told = "1 texts are longer than 512 bytes (the longest 10,000,000) and, read as bytes, cut there"
    assert told in dataset.reading.told


def test_a_quoted_text_may_have_lines_and_commas(tmp_path: Path) -> None:
    file = write_table(tmp_path / "t.csv", '"one, two\nthree",a')
    dataset = zoo.load_dataset(str(file))
    assert "one, two\nthree" in {text for split in SPLITS for text in dataset.splits[split]["text"]}


def test_a_file_that_changes_while_it_is_read_is_noticed(tmp_path: Path) -> None:
    file = write_table(tmp_path / "t.csv")

    def read() -> None:
        with unchanged(file):
            file.write_text("text,label\n")

    with pytest.raises(zoo.DataError, match=r"t\.csv' changed while it was read; let it be, then begin anew"):
        read()


def test_a_file_that_may_not_be_read_is_told(tmp_path: Path) -> None:
    file = write_table(tmp_path / "t.csv")

    def read() -> None:
        with unchanged(file):
            file.unlink()

    with pytest.raises(zoo.DataError, match=r"t\.csv' cannot be read: No such file or directory"):
        read()
