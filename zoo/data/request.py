"""What the user asked of a source, and what comes to light while it is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from zoo.data.dataset import Columns, Skipped
from zoo.data.roles import Roles
from zoo.data.table import Values, as_list, as_words
from zoo.errors import DataError
from zoo.specs import Problem


@dataclass
class Log:
    """What is found out on the way: lines to tell, samples to leave out."""

    uri: str
    strict: bool
    told: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    total: int = 0

    def keep(
        self, split: str, faults: Mapping[int, str], count: int, paths: Sequence[Any] | None
    ) -> NDArray[np.int64]:
        """The rows without faults; the others are noted, or refused where strict or where most are bad."""
        self.total += count
        if not faults:
            return np.arange(count)
        part = f" of {split}" if split else ""
        found = [
            Skipped(str(paths[row]) if paths is not None else f"row {row + 1}{part}", reason)
            for row, reason in sorted(faults.items())
        ]
        first = f"{found[0].where}: {found[0].reason}"
        if self.strict or 2 * len(faults) > count:
            why = (
                "with --strict none may be"
                if self.strict
                else "that is more than half; are these the right columns?"
            )
            raise DataError(
                f"{self.uri!r}: {len(faults):,} of {count:,} samples cannot be used ({first}); {why}"
            )
        self.skipped += found
        return np.setdiff1d(np.arange(count), np.array(list(faults)))

    def told_skips(self) -> list[str]:
        """One line for all that was left out."""
        if not self.skipped:
            return []
        shown = "; ".join(f"{skip.where}: {skip.reason}" for skip in self.skipped[:3])
        more = f"; and {len(self.skipped) - 3:,} more" if len(self.skipped) > 3 else ""
        return [f"skipped {len(self.skipped):,} of {self.total:,} samples: {shown}{more}"]


@dataclass(frozen=True)
class Request:
    """How the user wants it read, and the log of it; `options` reads it so again.

    `judge` is the only split that is wanted, where a model is to be judged.
    """

    log: Log
    seed: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)
    judge: str | None = None


@dataclass(frozen=True)
class Parts:
    """What a task makes of a table: samples by split, how they were split, the season of a series."""

    problem: Problem
    splits: Mapping[str, Columns]
    split: str
    season: int = 1


def paths_of(columns: Mapping[str, Values], roles: Roles) -> Sequence[Any] | None:
    """The file of each row, where there are files."""
    if "path" in roles:
        return as_list(columns[roles.one("path")])
    cells = columns[roles.one("image")] if "image" in roles else None
    if isinstance(cells, pa.ChunkedArray):
        return as_list(cells) if pa.types.is_string(cells.type) else None
    return cells if isinstance(cells, list) and isinstance(cells[0], str | Path) else None


def groups_of(
    columns: Mapping[str, Values], roles: Roles, rows: NDArray[np.int64]
) -> NDArray[np.int64] | None:
    """The group of each of `rows` as a number in the order of their names, where groups are kept whole."""
    if "group" not in roles:
        return None
    given = as_words(columns[roles.one("group")])
    place = np.argsort(np.argsort(np.array(given.words, dtype=object)))
    return place[given.codes[rows]]


def numbered(groups: Mapping[str, NDArray[np.int64] | None]) -> dict[str, NDArray[np.int64]] | None:
    """Groups of each part numbered without gaps, in the shape that `plan_splits` takes."""
    found = {split: given for split, given in groups.items() if given is not None}
    return {split: np.unique(given, return_inverse=True)[1] for split, given in found.items()} or None


def some(names: Sequence[str]) -> str:
    """The first few of many names, quoted."""
    shown = ", ".join(repr(name) for name in names[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5:,} more"
