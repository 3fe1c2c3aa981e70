"""Which samples train, validate and test where the data does not say."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zoo.data.dataset import SPLITS, Columns
from zoo.data.samples._draws import generator, permutation
from zoo.errors import DataError

SHARES = {"train": 0.7, "validation": 0.15, "test": 0.15}
ALL = "all"  # the split of all samples, where they are in none
FOLDS = 7  # of which one validates and one tests, where groups stay together
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Plan:
    """For each split, the part of the source that it comes from and its rows there; and why so."""

    parts: Mapping[str, tuple[str, Rows]]
    told: str

    def fill(self, take: Callable[[str, Rows], Columns]) -> dict[str, Columns]:
        """The columns of each split, as `take` has them; splits that are one and the same share them."""
        taken = {id(rows): take(part, rows) for part, rows in self.parts.values()}
        return {split: taken[id(rows)] for split, (_, rows) in self.parts.items()}


def plan_splits(
    labels: Mapping[str, NDArray[np.int64]],
    groups: Mapping[str, NDArray[np.int64]] | None = None,
    *,
    seed: int = 0,
    where: str = "the data",
    judge: str | None = None,
) -> Plan:
    """Splits from the parts of a source: those given stay, those missing are drawn from the training part.

    `labels` holds the class of each row by part, where the only part `""` is the whole; `groups`, in the same
    shape, numbers rows that must not be parted. Where there is nothing to train on but a split to `judge` on,
    that is every split. Raises `DataError` where there are too few.
    """
    alone = _alone(labels, judge, where)
    if alone is not None:
        rows = np.arange(len(labels[alone]))
        told = f"{judge} alone, as given, by which the trivial predictor goes too"
        return Plan({str(split): (alone, rows) for split in (judge, *SPLITS)}, told)
    given = [split for split in SPLITS if split in labels]
    origin = "" if "" in labels else "train"
    if origin not in labels:
        raise DataError(f"{where} has {' and '.join(given)}, but no train split to learn from")
    missing = [split for split in SPLITS[1:] if split not in labels]
    parts = {split: (split, np.arange(len(labels[split]))) for split in given}
    if not missing:
        return Plan(parts, "as given")
    shares = {
        "train": 1 - sum(SHARES[split] for split in missing),
        **{split: SHARES[split] for split in missing},
    }
    drawn = (
        stratified(labels[origin], shares, seed)
        if groups is None
        else grouped(labels[origin], groups[origin], missing, seed, where=where)
    )
    for split, rows in drawn.items():
        if not len(rows):
            raise DataError(
                f"{where} is too small: its {split} split would hold no sample; give at least 3 samples "
                "of a class, or splits of your own"
            )
        parts[split] = (origin, rows)
    shown = ", ".join(f"{share:.0%} {split}" for split, share in shares.items())
    manner = "stratified by class" if groups is None else "whole groups"
    source = "" if not given else f"; {' and '.join(given)} as given, the rest out of train"
    return Plan({split: parts[split] for split in SPLITS}, f"{shown}, {manner}, seed {seed}{source}")


def _alone(labels: Mapping[str, Rows], judge: str | None, where: str) -> str | None:
    """The part that is all there is to judge on; None where there is one to train on, or nobody judges."""
    if judge is None or "train" in labels or ("" in labels and judge != ALL):
        return None
    if judge not in labels and "" not in labels:
        raise DataError(f"{where} has no split {judge!r}; it has: {', '.join(labels)}; say which: --split")
    return judge if judge in labels else ""


def stratified(labels: np.ndarray, shares: dict[str, float], seed: int = 0) -> dict[str, np.ndarray]:
    """Rows for each split, in each class by the same shares; what rounding leaves goes to the first."""
    rng = generator(seed)
    chosen: dict[str, list[np.ndarray]] = {name: [] for name in shares}
    first, *others = shares
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        rows = rows[permutation(rng, len(rows))]
        whole = len(rows)
        for name in others:
            count = max(1, round(shares[name] * whole)) if whole > 2 else 0
            chosen[name].append(rows[:count])
            rows = rows[count:]
        chosen[first].append(rows)
    return {name: np.sort(np.concatenate(pieces)) for name, pieces in chosen.items()}


def split_rows(count: int, shares: dict[str, float], seed: int = 0) -> dict[str, np.ndarray]:
    """Rows for each split by the shares, at random, where there are no classes."""
    return stratified(np.zeros(count, dtype=np.int64), shares, seed)


def grouped(
    labels: np.ndarray, groups: np.ndarray, others: list[str], seed: int = 0, *, where: str = "the data"
) -> dict[str, np.ndarray]:
    """Rows for `train` and each of `others`, of which no group is parted; classes as even as that allows."""
    from sklearn.model_selection import StratifiedGroupKFold

    count = len(np.unique(groups))
    if count <= len(others):
        raise DataError(
            f"{where} has {count} groups; at least {len(others) + 1} are needed to keep them whole"
        )
    folds = StratifiedGroupKFold(min(FOLDS, count), shuffle=True, random_state=seed)
    largest = int(np.bincount(labels).max())
    if largest < folds.n_splits:  # what sklearn asks of the largest class
        labels = np.zeros_like(labels)
    with warnings.catch_warnings():  # a class may have fewer members than there are folds
        warnings.simplefilter("ignore", UserWarning)
        tests = [rows for _, rows in folds.split(labels, labels, groups) if len(rows)]
    found = {name: np.sort(tests[number]) for number, name in enumerate(others)}
    rest = np.setdiff1d(np.arange(len(labels)), np.concatenate(list(found.values())))
    return {"train": rest, **found}


def in_time(count: int, overlap: int = 0) -> dict[str, slice]:
    """Steps for each split one after the other; later ones begin `overlap` steps early, as a history."""
    first = round(count * SHARES["train"])
    second = first + round(count * SHARES["validation"])
    return {
        "train": slice(0, first),
        "validation": slice(max(0, first - overlap), second),
        "test": slice(max(0, second - overlap), count),
    }
