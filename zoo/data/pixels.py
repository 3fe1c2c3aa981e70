"""A column of images: files, encoded bytes or arrays of pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from zoo.data.images import GREY, Cell, Images, Seen
from zoo.data.looks import look_at_all
from zoo.data.table import Table, Values, as_list
from zoo.errors import DataError

UNREAD = Seen((1, 1), "RGB", "")  # stands for an image that is left out


def read_images(table: Table, values: Values) -> tuple[Images | NDArray[np.uint8], dict[int, str]]:
    """Images as they are kept, and why some of them cannot be used, by row."""
    if isinstance(values, np.ndarray) and values.ndim > 1:
        return _as_pixels(values), {}
    cells = _as_cells(table, values)
    looked = look_at_all(cells)
    faults = {row: told for row, told in enumerate(looked) if isinstance(told, str)}
    seen = [UNREAD if isinstance(told, str) else told for told in looked]
    grey = all(told.mode in GREY for row, told in enumerate(seen) if row not in faults)
    return Images(cells, seen, np.arange(len(cells)), 1 if grey else 3), faults


@dataclass(frozen=True)
class EncodedColumn(Sequence[Cell]):
    """Images as `datasets` keeps them, `{"bytes", "path"}`, read from the mapped file when asked for."""

    values: pa.ChunkedArray
    folder: Path

    def __len__(self) -> int:
        return len(self.values)

    @overload
    def __getitem__(self, index: int) -> Cell: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Cell]: ...
    def __getitem__(self, index: Any) -> Any:
        """The encoded image, or the file that it is in."""
        if isinstance(index, slice):
            return [self[row] for row in range(*index.indices(len(self)))]
        if index >= len(self):
            raise IndexError(index)
        return as_cell(self.values[int(index)].as_py(), self.folder)


def _as_cells(table: Table, values: Values) -> Sequence[Cell]:
    folder = table.folder or Path()
    if isinstance(values, pa.ChunkedArray) and (
        pa.types.is_struct(values.type) or pa.types.is_binary(values.type)
    ):
        return EncodedColumn(values, folder)
    return [as_cell(value, folder) for value in as_list(values)]


def as_cell(value: Any, folder: Path) -> Cell:
    """The image that a table's value stands for: its bytes, or its file below `folder`; else no bytes."""
    match value:
        case bytes() | Path():
            return value
        case {"bytes": bytes(content)}:
            return content
        case {"path": str(path)} | str(path):
            return folder / path
    return b""


def _as_pixels(values: NDArray[Any]) -> NDArray[np.uint8]:
    """`[N, H, W]`, `[N, H, W, C]` or `[N, C, H, W]`, in 0..255 or 0..1, as uint8 `[N, C, H, W]`."""
    if values.ndim == 3:
        values = values[:, None]
    elif values.ndim == 4 and values.shape[1] not in (1, 3) and values.shape[3] in (1, 3):
        values = values.transpose(0, 3, 1, 2)
    if values.ndim != 4 or values.shape[1] not in (1, 3):
        raise DataError(
            f"images of the shape {list(values.shape)}; expected [N, H, W], [N, H, W, C] or [N, C, H, W], "
            "of 1 or 3 channels"
        )
    if values.dtype == np.uint8:
        return np.ascontiguousarray(values)
    low, high = float(values.min()), float(values.max())
    if not (low >= 0 and high <= 255):
        raise DataError(f"pixels between {low:g} and {high:g}; expected 0 to 255, or 0 to 1")
    scaled = values * 255.0 if values.dtype.kind == "f" and high <= 1 else values
    return np.rint(scaled).astype(np.uint8)
