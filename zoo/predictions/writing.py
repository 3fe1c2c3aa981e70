"""Predictions as a file: CSV, TSV or JSON lines, written one by one."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any

import msgspec

from zoo.errors import ZooError
from zoo.paths import growing_new, told_of_new
from zoo.predictions import Prediction

DELIMITERS = {".csv": ",", ".tsv": "\t"}
JSON = (".jsonl", ".ndjson")
Write = Callable[[Prediction], None]


@contextmanager
def writing(path: Path) -> Iterator[Write]:
    """What writes a prediction to a new file, of the format that its suffix says; there once it is whole.

    Raises `ZooError` where the file is there already, cannot be written, or has another suffix.
    """
    suffix = path.suffix.lower()
    if suffix not in (*DELIMITERS, *JSON):
        raise ZooError(f"{str(path)!r} is of no known format; known: {', '.join((*DELIMITERS, *JSON))}")
    with told_of_new(path, another="--out"), growing_new(path) as file:
        if suffix in JSON:
            yield lambda found: _write_line(file, found)
        else:
            yield partial(_write_rows, file, DELIMITERS[suffix], [])


def as_record(found: Prediction) -> dict[str, Any]:
    """A prediction as a line of JSON has it."""
    row = {} if found.item.row is None else {"row": found.item.row}
    return {**row, "item": found.item.name, **(found.record or {})}


def _write_line(file: IO[str], found: Prediction) -> None:
    file.write(msgspec.json.encode(as_record(found)).decode() + "\n")


def _write_rows(file: IO[str], delimiter: str, names: list[str], found: Prediction) -> None:
    """Rows under a header, which the first prediction's columns make."""
    for row in flat_rows(found):
        if not names:
            names += row
            csv.writer(file, delimiter=delimiter).writerow(names)
        csv.writer(file, delimiter=delimiter).writerow([row.get(name, "") for name in names])


def flat_rows(found: Prediction) -> list[dict[str, Any]]:
    """A prediction as rows of a table: one, or one for each step of a forecast.

    Classes follow each other as `label_2`, `probability_2` or, of all, as `probability_CLASS`; quantiles are
    `q0.1`, the numbers of an embedding `e1`, and channels, where there are several, end in `_1`.
    """
    record = as_record(found)
    forecast, quantiles = record.pop("forecast", None), record.pop("quantiles", {})
    if forecast is not None:
        curves = {"forecast": forecast, **{f"q{level}": rows for level, rows in quantiles.items()}}
        return [{**record, "step": step + 1, **_channels(curves, step)} for step in range(len(forecast))]
    top, shares = record.pop("top", {}), record.pop("probabilities", None)
    vector = record.pop("embedding", ())
    if shares is not None:
        record |= {f"probability_{name}": share for name, share in shares.items()}
    else:
        for place, (name, share) in list(enumerate(top.items(), start=1))[1:]:
            record |= {f"label_{place}": name, f"probability_{place}": share}
    return [record | {f"e{place}": number for place, number in enumerate(vector, start=1)}]


def _channels(curves: dict[str, list[list[float]]], step: int) -> dict[str, float]:
    """Each curve's values at one step."""
    return {
        name if len(rows[step]) == 1 else f"{name}_{channel}": value
        for name, rows in curves.items()
        for channel, value in enumerate(rows[step], start=1)
    }
