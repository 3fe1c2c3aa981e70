"""What a model is asked about: files, folders, texts and rows of tables, one after another."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.data import images
from zoo.data.forecasts import read_history
from zoo.data.pixels import as_cell
from zoo.data.roles import find_input, find_roles
from zoo.data.sources import open_source, texts
from zoo.data.sources.files import encoding_of, read_text, unchanged
from zoo.data.sources.tables import json_records
from zoo.data.table import BLOCK, Table, as_list
from zoo.errors import DataError
from zoo.paths import is_file, is_folder
from zoo.specs import ImageInput, Input, Problem, TokenInput

JSON = (".jsonl", ".ndjson")
SERIES = {".npy", ".csv", ".tsv", ".txt"}
HEAD = 1000  # records of JSON lines by which their columns are known


@dataclass(frozen=True)
class Item:
    """One question: its name, what `Task.read` takes, its row where it is from a table, why it has none."""

    name: str
    content: str | bytes = ""
    row: int | None = None
    fault: str = ""


def given_items(given: Iterable[str | os.PathLike[str]], kind: Input) -> Iterator[Item]:
    """Files, texts or series as they were given, and of folders every file that may be one, in order.

    For a model that reads texts, a text file stands for what is in it; other words are texts themselves,
    and only what is written like a path, with a slash, is a folder. Raises `DataError` for a folder without
    a file of that kind.
    """
    for path in given:
        each = os.fspath(path)
        if _is_folder(each, kind):
            found = False
            for name in _files(Path(each), _suffixes(kind)):
                found = True
                yield _file(name, kind)
            if not found:
                known = ", ".join(sorted(_suffixes(kind)))
                raise DataError(f"{each!r} holds no file that {_what(kind)} is read from: {known}")
        elif isinstance(kind, TokenInput) and Path(each).suffix.lower() in texts.SUFFIXES and is_file(each):
            yield _file(each, kind)
        else:
            yield Item(each, each)


def count_items(given: Iterable[str], kind: Input) -> int:
    """How many `given_items` will give."""
    return sum(
        sum(1 for _ in _files(Path(each), _suffixes(kind))) if _is_folder(each, kind) else 1 for each in given
    )


def table_items(
    source: str, problem: Problem, columns: Mapping[str, tuple[str, ...]] | None = None
) -> Iterator[Item]:
    """The rows of a table as questions for a model of `problem`; of a forecast's, all rows as a single one.

    JSON lines are read one after another, other tables as for training. Raises `DataError` where the columns
    do not say enough.
    """
    if problem.task == "forecasting":
        table = open_source(source)
        history = read_history(table, find_roles(table, task=problem.task, columns=columns))
        yield Item(source, _numbers(history.tolist()))
        return
    path = Path(source).expanduser()
    if path.suffix.lower() in JSON and is_file(path):
        yield from _json_items(path, problem, columns)
        return
    table = open_source(source)
    names = find_input(table, problem.task, columns)
    rows = itertools.count(1)
    for part in table.splits.values():
        for start in range(0, len(part[names[0]]), BLOCK):
            blocks = [as_list(part[name][start : start + BLOCK]) for name in names]
            for row, values in zip(rows, zip(*blocks, strict=True)):  # noqa: B905 - rows have no end
                yield _row(row, values, table.folder or Path(), problem)
            if table.pages is not None:
                table.pages.release()


def _json_items(
    path: Path, problem: Problem, columns: Mapping[str, tuple[str, ...]] | None
) -> Iterator[Item]:
    with unchanged(path):
        records = json_records(path, encoding_of(path))
        head = list(itertools.islice(records, HEAD))
        if not head:
            raise DataError(f"{str(path)!r} holds no rows")
        known = dict.fromkeys(name for record in head for name in record)
        first = {"": {name: [record.get(name) for record in head] for name in known}}
        table = Table(uri=str(path), name=path.stem, kind="json", splits=first)
        names = find_input(table, problem.task, columns)
        for row, record in enumerate(itertools.chain(head, records), start=1):
            yield _row(row, tuple(map(record.get, names)), path.resolve().parent, problem)


def _row(row: int, values: tuple[Any, ...], folder: Path, problem: Problem) -> Item:
    """A row's values as a question, or as what is wrong with it."""
    (value, *more), name = values, f"row {row}"
    if isinstance(problem.input, ImageInput):
        cell = as_cell(value, folder)
        fault = "" if cell else f"{name} holds no image"
        return Item(
            str(cell) if isinstance(cell, Path) else name,
            cell if isinstance(cell, bytes) else str(cell),
            row,
            fault,
        )
    if isinstance(problem.input, TokenInput):
        text = "" if value is None else str(value)
        return Item(text, text, row, "" if text.strip() else f"{name} holds no text")
    if not more and not isinstance(value, list):
        return Item(
            name, "", row, f"{name} holds no series; give a list of numbers, or a column for each step"
        )
    return Item(name, _numbers(value if not more else values), row)


def _numbers(values: Iterable[Any]) -> str:
    """Nested numbers as a text, in which what is missing is nan."""
    flat = (each for value in values for each in (value if isinstance(value, list) else [value]))
    return " ".join("nan" if each is None else str(each) for each in flat)


def _file(path: str, kind: Input) -> Item:
    if not isinstance(kind, TokenInput):
        return Item(path, path)
    try:
        return Item(path, read_text(Path(path))[0])
    except DataError as error:
        return Item(path, fault=str(error))


def _files(folder: Path, suffixes: set[str]) -> Iterator[str]:
    """Files below a folder with one of the suffixes, folder by folder in order, but for hidden ones."""
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if Path(name).suffix.lower() in suffixes and not name.startswith("."):
                yield os.path.join(place, name)  # noqa: PTH118 - a Path for each would cost more than the walk


def _is_folder(given: str, kind: Input) -> bool:
    """Whether a folder is meant: not by nothing, nor by a mere word to a model that reads texts."""
    return bool(given) and is_folder(given) and (os.sep in given or not isinstance(kind, TokenInput))


def _suffixes(kind: Input) -> set[str]:
    if isinstance(kind, ImageInput):
        return images.SUFFIXES
    return texts.SUFFIXES if isinstance(kind, TokenInput) else SERIES


def _what(kind: Input) -> str:
    if isinstance(kind, ImageInput):
        return "an image"
    return "a text" if isinstance(kind, TokenInput) else "a series"
