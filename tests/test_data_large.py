"""Tables of text that are larger than memory: what is read of them, and what stays of it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.csv
import pyarrow.parquet
import pytest
from datafiles import refused, write_table

import zoo
from zoo.data.sources import tables
from zoo.data.stored import store
from zoo.data.table import as_list

SMALL, LARGE = 30, 120  # megabytes
ROWS_OF_A_MEGABYTE = 500
GROWTH = (
    30  # megabytes that one of 90 more may need besides: some numbers for each row, what Arrow reads ahead
)
SUFFIXES = ("csv", "tsv", "jsonl", "parquet", "arrow")

WATCHED = """
import resource, sys, zoo
from zoo.data.tokens import Layout, pack_texts
from zoo.tokenizers import ByteTokenizer

for path in sys.argv[1:]:
    dataset = zoo.load_dataset(path)
    zoo.inspect(dataset)
    dataset.fingerprint()
    first, second = next(iter(dataset.splits.values()))
    names = [name for name in (first, second) if name != "labels"]
    texts = [columns[name] for columns in dataset.splits.values() for name in names]
    packed = [pack_texts(column, ByteTokenizer(), Layout(room=512)) for column in texts]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(peak, sum(len(pack.starts) - 1 for pack in packed), sum(pack.cut.texts for pack in packed))
"""


def batches(megabytes: float, columns: tuple[str, str]) -> Iterator[pyarrow.RecordBatch]:
    """Texts of two kilobytes, each unlike the others, with one of two classes or another text."""
    first, second = columns
    for start in range(0, int(megabytes * ROWS_OF_A_MEGABYTE), ROWS_OF_A_MEGABYTE):
        numbers = range(start, start + ROWS_OF_A_MEGABYTE)
        texts = [f"text {number} " * (2000 // len(f"text {number} ")) for number in numbers]
        other = ["ab"[number % 2] if second == "label" else f"answer {number}" for number in numbers]
        yield pyarrow.record_batch({first: texts, second: other})


def write(path: Path, megabytes: float, columns: tuple[str, str] = ("text", "label")) -> Path:
    """A table of that size, made in a memory that does not grow with it."""
    schema = next(batches(1, columns)).schema
    if path.suffix == ".jsonl":
        with path.open("w") as file:
            for batch in batches(megabytes, columns):
                file.writelines(json.dumps(row) + "\n" for row in batch.to_pylist())
        return path
    writer: Any
    if path.suffix == ".parquet":
        writer = pyarrow.parquet.ParquetWriter(path, schema, use_dictionary=False)
    elif path.suffix == ".arrow":
        writer = pyarrow.ipc.new_file(str(path), schema)
    else:
        options = pyarrow.csv.WriteOptions(delimiter="\t" if path.suffix == ".tsv" else ",")
        writer = pyarrow.csv.CSVWriter(str(path), schema, write_options=options)
    with writer:
        for batch in batches(megabytes, columns):
            writer.write_batch(batch)
    return path


# -- in a file as in memory -------------------------------------------------------------------


def rows(count: int = 60) -> list[dict[str, Any]]:
    """Texts of which some are twice there, empty or without a label, with a split and a group."""
    return [
        {
            "text": "" if number == 7 else f"Größe {number % 50}\nand, more",
            "label": None if number == 11 else "ab"[number % 3 % 2],
            "part": ("train", "train", "dev", "test")[number % 4],
            "author": f"author {number // 4}",
            "year": number if number != 3 else None,
            "mixed": [number, str(number), None, {"a": number}, 2**70][number % 5],
        }
        for number in range(count)
    ]


def write_rows(path: Path) -> Path:
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows()))
        return path
    table = pyarrow.Table.from_pylist([{**row, "mixed": str(row["mixed"])} for row in rows()])
    if path.suffix == ".parquet":
        pyarrow.parquet.write_table(table, path)
    elif path.suffix == ".arrow":
        with pyarrow.ipc.new_file(str(path), table.schema) as writer:
            writer.write_table(table)
    else:
        options = pyarrow.csv.WriteOptions(delimiter="\t" if path.suffix == ".tsv" else ",")
        pyarrow.csv.write_csv(table, path, options)
    return path


@pytest.mark.parametrize(
    "options",
    [{}, {"group_by": "author"}, {"columns": {"split": "part"}}, {"task": "language-modeling"}],
    ids=["drawn", "grouped", "given", "language"],
)
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_table_in_a_file_is_read_as_one_in_memory(
    tmp_path: Path, suffix: str, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = str(write_rows(tmp_path / f"t.{suffix}"))
    whole = [zoo.load_dataset(source, **options)]
    monkeypatch.setattr(tables, "LARGE", 0)
    monkeypatch.setattr(tables, "BATCH", 500)  # bytes, so that there are several
    whole += [zoo.load_dataset(source, **options) for _ in range(2)]  # the second from what the first kept
    kept = list((tmp_path / "zoo-home" / "tables").glob("*"))
    assert len(kept) == (suffix != "arrow")  # which is there to be mapped already
    first, *others = whole
    for other in others:
        assert other.fingerprint() == first.fingerprint()
        assert (other.reading, other.problem) == (first.reading, first.problem)
        assert zoo.inspect(other) == zoo.inspect(first)
    assert first.reading
    assert any("its text is empty" in line for line in first.reading.warnings)


def test_the_values_of_json_keep_their_types_in_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_rows(tmp_path / "t.jsonl")
    expected = tables.read_json(source).splits[""]
    monkeypatch.setattr(tables, "LARGE", 0)
    found = tables.read_json(source).splits[""]
    assert {name: as_list(values) for name, values in found.items()} == expected
    assert found["year"].type == pyarrow.int64()


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        (
            "t.csv",
            "text,label\na,x\nb,y,z\n",
            "cannot be read as csv: Row #3: Expected 2 columns, got 3: b,y,z",
        ),
        ("t.jsonl", '{"text": "a", "label": "x"}\n{"text": "a", "lab', "cannot be read as json: line 2: "),
    ],
)
def test_a_large_table_that_is_broken_is_one_line_and_leaves_nothing(
    tmp_path: Path, name: str, content: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "LARGE", 0)
    (tmp_path / name).write_text(content)
    assert told in refused(tmp_path / name)
    assert list((tmp_path / "zoo-home" / "tables").iterdir()) == []


def test_a_row_of_a_large_table_may_be_longer_than_what_is_read_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "LARGE", 0)
    source = write_table(tmp_path / "t.csv", f"{'x' * 10_000_000},a")
    dataset = zoo.load_dataset(str(source))
    assert max(int(columns["text"].sizes.max()) for columns in dataset.splits.values()) == 10_000_000


def test_a_table_that_changes_while_its_rows_are_kept_leaves_nothing(tmp_path: Path) -> None:
    source = write_table(tmp_path / "t.csv")

    def read() -> pyarrow.RecordBatchReader:
        source.write_text(source.read_text() + "more,a\n")
        return pyarrow.csv.open_csv(source)

    with pytest.raises(zoo.DataError, match=r"t\.csv' changed while it was read; let it be, then begin anew"):
        store(source, "csv", read)
    assert list((tmp_path / "zoo-home" / "tables").iterdir()) == []


def test_no_room_for_the_rows_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "LARGE", 0)
    home = tmp_path / "zoo-home"
    home.mkdir()
    (home / "tables").write_text("in the way")
    told = refused(write_table(tmp_path / "t.csv"))
    assert told.startswith(
        f"the rows of {str(tmp_path / 't.csv')!r} cannot be kept in {str(home / 'tables')!r}: "
    )
    assert told.endswith("; make room there, or set ZOO_HOME to another folder")


# -- memory -----------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("columns", [("text", "label"), ("source", "target")])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_memory_does_not_grow_with_a_table_of_texts(
    tmp_path: Path, suffix: str, columns: tuple[str, str]
) -> None:
    files = [write(tmp_path / f"{size}.{suffix}", size, columns) for size in (SMALL, LARGE)]
    command = [sys.executable, "-c", WATCHED, *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    (small, texts, cut), (large, more, more_cut) = (
        map(int, line.split()) for line in done.stdout.splitlines()
    )
    columns_of_text = 2 - columns.count("label")
    assert texts == columns_of_text * SMALL * ROWS_OF_A_MEGABYTE
    assert more == columns_of_text * LARGE * ROWS_OF_A_MEGABYTE
    assert (cut, more_cut) == (SMALL * ROWS_OF_A_MEGABYTE, LARGE * ROWS_OF_A_MEGABYTE)
    assert (large - small) / 1024 < GROWTH
