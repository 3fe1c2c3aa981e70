"""Tables of texts: CSV, TSV, JSON lines or Parquet, read by Hugging Face `datasets`."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from zoo.data.dataset import SPLITS, Dataset
from zoo.data.splitting import SHARES, split_rows, stratified
from zoo.errors import DataError
from zoo.specs import Classes, Problem, TokenInput, TokenOutput

FORMATS: dict[str, tuple[str, dict[str, Any]]] = {
    ".csv": ("csv", {}),
    ".tsv": ("csv", {"sep": "\t"}),
    ".jsonl": ("json", {}),
    ".json": ("json", {}),
    ".parquet": ("parquet", {}),
    ".txt": ("text", {"sample_by": "document"}),
}
LONGEST = 512  # bytes a text


def read_table(path: Path) -> Dataset:
    """The texts of a file, of which 70% train, 15% validate and 15% test.

    `text` and `label` (or `labels`, `class`): which class a text belongs to. `source` and `target`: one
    text turned into another. `text` alone, or a `.txt` file: language to model. Raises `DataError` for
    another format, other columns, or empty values.
    """
    columns = _read_columns(path)
    label = next((name for name in ("label", "labels", "class") if name in columns), None)
    if "text" in columns and label:
        return _classification(path, columns["text"], columns[label])
    if "source" in columns and "target" in columns:
        return _pairs(path, columns["source"], columns["target"])
    if "text" in columns:
        return _language(path, columns["text"])
    raise DataError(
        f"{str(path)!r} has the columns {', '.join(columns)}; expected text and label, "
        "source and target, or text alone"
    )


def _read_columns(path: Path) -> dict[str, list[str]]:
    if path.suffix.lower() not in FORMATS:
        raise DataError(
            f"{str(path)!r} is of no known format; known: {', '.join(FORMATS)}, a folder of images"
        )
    import datasets
    from datasets.exceptions import DatasetGenerationError

    kind, options = FORMATS[path.suffix.lower()]
    datasets.disable_progress_bars()
    with tempfile.TemporaryDirectory() as cache:
        try:
            table = datasets.load_dataset(
                kind, data_files=str(path), split="train", cache_dir=cache, keep_in_memory=True, **options
            )
        except (DatasetGenerationError, ValueError, OSError) as error:
            reason = (str(error.__cause__ or error).strip().splitlines() or ["unreadable"])[0]
            if "no data" in reason:  # how `datasets` tells of a table with a header alone
                raise DataError(f"{str(path)!r} holds no rows") from None
            raise DataError(f"{str(path)!r} cannot be read as {kind}: {reason}") from None
        if not len(table):
            raise DataError(f"{str(path)!r} holds no rows")
        columns = table.to_dict()
    for name, values in columns.items():
        empty = [row for row, value in enumerate(values, start=1) if value is None or value == ""]
        if empty and name in ("text", "label", "labels", "class", "source", "target"):
            raise DataError(
                f"{str(path)!r} has no {name} in {len(empty)} rows, the first of them row {empty[0]}"
            )
    return {name: [str(value) for value in values] for name, values in columns.items()}


def _classification(path: Path, texts: list[str], labels: list[str]) -> Dataset:
    names = sorted(set(labels))
    if len(names) == 1:
        raise DataError(f"{str(path)!r} has a single class, {names[0]!r}; there is nothing to tell apart")
    numbers = np.array([names.index(label) for label in labels], dtype=np.int64)
    rows = stratified(numbers, SHARES)
    splits = {
        name: {"text": [texts[row] for row in rows[name]], "labels": numbers[rows[name]]} for name in SPLITS
    }
    problem = Problem(
        task="text-classification",
        input=TokenInput(vocab_size=259, length=_length(texts)),
        output=Classes(count=len(names), names=tuple(names)),
        samples=len(rows["train"]),
    )
    return Dataset(name=path.stem, problem=problem, splits=splits)


def _pairs(path: Path, sources: list[str], targets: list[str]) -> Dataset:
    rows = split_rows(len(sources), SHARES)
    splits = {
        name: {
            "source": [sources[row] for row in rows[name]],
            "target": [targets[row] for row in rows[name]],
        }
        for name in SPLITS
    }
    problem = Problem(
        task="seq2seq",
        input=TokenInput(vocab_size=259, length=_length(sources)),
        output=TokenOutput(vocab_size=259, length=_length(targets) + 2),
        samples=len(rows["train"]),
    )
    return Dataset(name=path.stem, problem=problem, splits=splits)


def _language(path: Path, texts: list[str]) -> Dataset:
    if len(texts) < 10:  # too few to split by document: each is cut in three
        splits = {name: {"text": [_share(text, name) for text in texts]} for name in SPLITS}
    else:
        rows = split_rows(len(texts), SHARES)
        splits = {name: {"text": [texts[row] for row in rows[name]]} for name in SPLITS}
    length = 256
    size = sum(len(text.encode()) for text in splits["train"]["text"])
    problem = Problem(
        task="language-modeling",
        input=TokenInput(vocab_size=259, length=length),
        output=TokenOutput(vocab_size=259, length=length),
        samples=size // length,
    )
    return Dataset(name=path.stem, problem=problem, splits=splits)


def _share(text: str, split: str) -> str:
    first = round(len(text) * SHARES["train"])
    second = first + round(len(text) * SHARES["validation"])
    return {"train": text[:first], "validation": text[first:second], "test": text[second:]}[split]


def _length(texts: list[str]) -> int:
    return min(LONGEST, max(1, *(len(text.encode()) for text in texts)))
