"""Which samples train, validate and test where the data does not say."""

from __future__ import annotations

import numpy as np

from zoo.data.samples._draws import generator, permutation

SHARES = {"train": 0.7, "validation": 0.15, "test": 0.15}


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
