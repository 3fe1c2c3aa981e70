"""A data set: named columns, three splits, one problem, and how it was read."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Union

import numpy as np
from numpy.typing import NDArray

from zoo.errors import DataError
from zoo.specs import Problem

if TYPE_CHECKING:
    from zoo.data.images import Images

Column = Union[NDArray[Any], Sequence[str], "Images"]
Columns = Mapping[str, Column]
SPLITS = ("train", "validation", "test")

COLUMNS = {
    "image-classification": ("images", "labels"),  # [N, C, H, W] uint8 or files, [N] int64
    "text-classification": ("text", "labels"),  # N strings, [N] int64
    "language-modeling": ("text",),  # documents
    "seq2seq": ("source", "target"),  # N strings each
    "series-classification": ("series", "labels"),  # [N, T, C] float32 with NaN after its end, [N] int64
    "forecasting": ("series",),  # [T, C] float32, one after the other in time
}


def different(splits: Mapping[str, Columns]) -> list[Columns]:
    """The columns of each split, once where several splits share them."""
    return list({id(columns): columns for columns in splits.values()}.values())


@dataclass(frozen=True)
class Skipped:
    """A sample that cannot be used: where it is, and why."""

    where: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How a user's data was read: as what, what was guessed, what was left out, how it was split.

    `options` are the arguments of `load_dataset` that read it so again; `total` counts the samples before
    any was skipped.
    """

    kind: str
    told: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    total: int = 0
    split: str = "as given"
    options: Mapping[str, Any] = field(default_factory=dict)


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
    reading: Reading | None = None

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

    def class_counts(self, split: str) -> dict[str, int]:
        """How many samples of each class a split has; empty where there are no classes."""
        if "labels" not in self.splits[split]:
            return {}
        counts = np.bincount(np.asarray(self.splits[split]["labels"]), minlength=len(self.labels))
        names = self.labels or tuple(map(str, range(len(counts))))
        return dict(zip(names, counts.tolist(), strict=False))

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
                    texts: Any = getattr(column, "digests", column)  # files are known by theirs
                    for value in texts:
                        digest.update(value.encode("utf-8", "surrogatepass") + b"\0")
        return digest.hexdigest()

    def record(self) -> dict[str, Any]:
        """What a run keeps of it: enough to find the same samples in the same splits again."""
        told: dict[str, Any] = {
            "name": self.name,
            "fingerprint": self.fingerprint(),
            "license": self.license,
        }
        if self.reading is not None:
            told |= {"kind": self.reading.kind, "split": self.reading.split}
            told |= {"options": dict(self.reading.options)} if self.reading.options else {}
            told |= {"skipped": len(self.reading.skipped)} if self.reading.skipped else {}
        return told
