"""The `.ts` files of the UEA archive (Bagnall et al. 2018): channels parted by colons, the class last."""

from __future__ import annotations

from pathlib import Path

from zoo.data.sources.files import read_text
from zoo.data.sources.ucr import table_of_parts
from zoo.data.table import Table, Values
from zoo.errors import DataError


def read_ts(path: Path) -> Table:
    """`NAME_TRAIN.ts` with `NAME_TEST.ts` beside it, or any one such file."""
    return table_of_parts(path, "UEA series", _read)


def _read(path: Path) -> dict[str, Values]:
    """`series`, each `[T][C]` with None where it has a question mark, and `label`."""
    text, _ = read_text(path)
    settings: dict[str, list[str]] = {}
    series: list[list[list[float | None]]] = []
    labels: list[str] = []
    began = False
    for number, line in enumerate(text.splitlines(), start=1):
        line = line.strip()
        where = f"{str(path)!r}, line {number}"
        if not line or line.startswith("#"):
            continue
        if line.startswith("@"):
            key, *values = line[1:].split()
            settings[key.lower()] = [value.lower() for value in values]
            if key.lower() == "data":
                _check(path, settings)
                began = True
            continue
        if not began:
            raise DataError(f"{where}: expected '@data' before the first series")
        *channels, label = line.split(":")
        columns = [_numbers(channel, where) for channel in channels]
        if not columns or len({len(column) for column in columns}) > 1:
            raise DataError(
                f"{where}: its channels have {sorted(set(map(len, columns)))} values; expected as many each"
            )
        series.append([list(step) for step in zip(*columns, strict=True)])
        labels.append(label.strip())
    if not series:
        raise DataError(f"{str(path)!r} holds no series")
    return {"series": series, "label": labels}


def _check(path: Path, settings: dict[str, list[str]]) -> None:
    if settings.get("timestamps", ["false"])[0] == "true":
        raise DataError(f"{str(path)!r} has time stamps in its series; save it without them")
    if settings.get("classlabel", ["false"])[0] != "true":
        raise DataError(f"{str(path)!r} has no class labels; series without classes cannot be told apart")


def _numbers(channel: str, where: str) -> list[float | None]:
    try:
        return [None if word.strip() == "?" else float(word) for word in channel.split(",")]
    except ValueError:
        raise DataError(f"{where}: {channel[:40]!r} is no list of numbers") from None
