"""numpy's `.npy` and `.npz`, mapped into memory where they can be; never unpickled."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo.data.sources.files import unchanged
from zoo.data.table import ALIASES, Table, Values
from zoo.errors import DataError

MAGIC = b"\x93NUMPY"  # how every .npy begins
SPLIT = "train|training|val|valid|validation|dev|test"
PART = re.compile(rf"(?P<first>{SPLIT})_(?P<rest>.+)|(?P<stem>.+)_(?P<last>{SPLIT})", re.IGNORECASE)


def read_npy(path: Path) -> Table:
    """One array: a series `[T]` or `[T, C]`, or several `[N, T, C]`."""
    return _table(path, "npy", {path.stem: _load(path)})


def read_npy_folder(root: Path) -> Table | None:
    """A folder of arrays, named by their files: `x.npy` and `y.npy`, or `x_train.npy` and so on."""
    paths = sorted(root.glob("*.npy"))
    if not paths:
        return None
    return _table(root, "folder of npy", {path.stem: _load(path) for path in paths})


def read_npz(path: Path) -> Table:
    """Named arrays, which may be given by split: `x_train`, or `train_images`."""
    with unchanged(path):
        if not zipfile.is_zipfile(path):
            raise DataError(f"{str(path)!r} cannot be read as an archive of arrays; save it with numpy.savez")
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
        except (ValueError, zipfile.BadZipFile, EOFError) as error:
            raise DataError(f"{str(path)!r} {_reason(error)}") from None
    return _table(path, "npz", arrays)


def _load(path: Path) -> NDArray[Any]:
    with unchanged(path):
        with path.open("rb") as file:
            if not file.read(len(MAGIC)) == MAGIC:
                raise DataError(f"{str(path)!r} cannot be read as an array; save it with numpy.save")
        try:
            array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise DataError(f"{str(path)!r} {_reason(error)}") from None
    return array


def _table(path: Path, kind: str, arrays: dict[str, NDArray[Any]]) -> Table:
    splits: dict[str, dict[str, Values]] = {}
    for name, array in arrays.items():
        match = PART.fullmatch(name)
        split = (match["first"] or match["last"]).lower() if match else ""
        column = (match["rest"] or match["stem"]) if match else name
        if array.ndim:
            splits.setdefault(ALIASES.get(split, split), {})[column] = array
    if not splits or not any(len(array) for array in arrays.values() if array.ndim):
        raise DataError(f"{str(path)!r} holds no rows")
    if len(splits) > 1:
        splits.pop("", None)
    return Table(uri=str(path), name=path.stem, kind=kind, splits=splits)


def _reason(error: Exception) -> str:
    if "pickle" in str(error) or "Python objects" in str(error):
        return "holds Python objects, which are never unpickled; save plain numbers or strings"
    return f"cannot be read as an array: {(str(error).splitlines() or ['it is damaged'])[0]}"
