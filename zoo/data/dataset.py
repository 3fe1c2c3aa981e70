"""A data set in memory: named columns, three splits, one problem."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo.errors import DataError
from zoo.specs import Problem

Column = NDArray[Any] | Sequence[str]
Columns = Mapping[str, Column]
SPLITS = ("train", "validation", "test")

COLUMNS = {
    "image-classification": ("images", "labels"),  # [N, C, H, W] uint8, [N] int64
    "text-classification": ("text", "labels"),  # N strings, [N] int64
    "language-modeling": ("text",),  # documents
    "seq2seq": ("source", "target"),  # N strings each
    "series-classification": ("series", "labels"),  # [N, T, C] float32, [N] int64
    "forecasting": ("series",),  # [T, C] float32, one after the other in time
}


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Raw samples by split and column, as `COLUMNS` lists them for each task.

    `problem` describes them before any model's preprocessing; `source` is the name or path by which
    they are found again; `season` is the period, in time steps, of the seasonal naive forecast.
    """

    name: str
    problem: Problem
    splits: Mapping[str, Columns]
    source: str = ""
    season: int = 1
    license: str = ""
    notes: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        missing = [split for split in SPLITS if split not in self.splits]
        if missing:
            raise DataError(f"data {self.name!r}: no {' and no '.join(missing)} split")
        for split in SPLITS:
            if any(len(column) == 0 for column in self.splits[split].values()):
                raise DataError(f"data {self.name!r}: its {split} split is too small for a single sample")

    def size(self, split: str) -> int:
        """The number of rows of a split (time steps, for forecasting)."""
        return len(next(iter(self.splits[split].values())))

    @property
    def labels(self) -> tuple[str, ...]:
        """The class names, where there are classes."""
        return getattr(self.problem.output, "names", ())

    def fingerprint(self) -> str:
        """sha256 over every split, column and value, in order."""
        digest = hashlib.sha256()
        for split in SPLITS:
            for name in sorted(self.splits[split]):
                column = self.splits[split][name]
                digest.update(f"{split}/{name}:{len(column)}".encode())
                if isinstance(column, np.ndarray):
                    digest.update(f"{column.dtype}{column.shape}".encode())
                    digest.update(np.ascontiguousarray(column).data)
                else:
                    for value in column:
                        digest.update(value.encode("utf-8", "surrogatepass") + b"\0")
        return digest.hexdigest()
