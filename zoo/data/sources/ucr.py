"""The UCR archive's layout: a line for each series, its class first, tabs between (Dau et al. 2019)."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from zoo.data.sources import open_source
from zoo.data.sources.files import unchanged
from zoo.data.table import ALIASES, Table, Values
from zoo.errors import DataError

PART = re.compile(r"(?P<name>.+)_(?P<split>TRAIN|TEST|VALIDATION|VAL)", re.IGNORECASE)
FEWEST = 4  # numbers in a line that is a series


def read_ucr(path: Path) -> Table | None:
    """`NAME_TRAIN.tsv` with `NAME_TEST.tsv` beside it, or one such file; None where `path` is not one."""
    if not _is_ucr(path):
        return None
    return table_of_parts(path, "UCR series", _read)


def read_ucr_folder(root: Path) -> Table | None:
    """The one set `NAME_TRAIN.tsv` or `NAME_TRAIN.ts` in a folder, as the archives unpack; else None."""
    found = [
        path for path in sorted(root.iterdir()) if path.suffix.lower() in (".tsv", ".ts") and _part(path)
    ]
    if len({_part(path) for path in found}) != 1:
        return None
    return open_source(str(found[0]))


def table_of_parts(path: Path, kind: str, read: Callable[[Path], dict[str, Values]]) -> Table:
    """A file and those that hold the other splits of it, each read by `read`."""
    match = PART.fullmatch(path.stem)
    parts = {"": path}
    if match:
        beside = [
            other for other in sorted(path.parent.iterdir()) if other.suffix.lower() == path.suffix.lower()
        ]
        same = {other: PART.fullmatch(other.stem) for other in beside}
        parts = {
            ALIASES.get(found["split"].lower(), found["split"].lower()): other
            for other, found in same.items()
            if found and found["name"] == match["name"]
        }
    told = (f"read together: {', '.join(part.name for part in parts.values())}",) if len(parts) > 1 else ()
    return Table(
        uri=str(path),
        name=match["name"] if match else path.stem,
        kind=kind,
        splits={split: read(part) for split, part in parts.items()},
        roles={"series": ("series",), "label": ("label",)},
        told=told,
    )


def _part(path: Path) -> str | None:
    match = PART.fullmatch(path.stem)
    return match["name"] if match else None


def _is_ucr(path: Path) -> bool:
    with path.open("rb") as file:
        words = file.readline(1 << 20).split(_delimiter(path))
    if len(words) < FEWEST or (path.suffix.lower() != ".tsv" and _part(path) is None):
        return False
    try:
        [float(word) for word in words]
    except ValueError:
        return False
    return True


def _delimiter(path: Path) -> bytes | None:
    return {".tsv": b"\t", ".csv": b","}.get(path.suffix.lower())


def _read(path: Path) -> dict[str, Values]:
    """`series` `[N, T]`, with NaN where the archive has it, and `label`."""
    delimiter = _delimiter(path)
    with unchanged(path):
        try:
            rows: NDArray[np.float64] = np.loadtxt(
                path, delimiter=delimiter.decode() if delimiter else None, ndmin=2, dtype=np.float64
            )
        except ValueError as error:
            raise DataError(
                f"{str(path)!r} cannot be read as UCR series: {str(error).splitlines()[0]}"
            ) from None
    return {"series": rows[:, 1:].astype(np.float32), "label": rows[:, 0]}
