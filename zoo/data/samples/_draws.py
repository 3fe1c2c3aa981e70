"""Draws that come out the same everywhere.

They use nothing of numpy's but PCG64's whole numbers and standard normals, the two streams least
likely to change from one release to the next.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.random import PCG64, Generator
from numpy.typing import NDArray

Draw = Callable[[Generator, str, int], NDArray[np.float64]]


def generator(seed: int) -> Generator:
    """A generator that depends on nothing but `seed`."""
    return Generator(PCG64(seed))


def permutation(rng: Generator, count: int) -> NDArray[np.int64]:
    """The numbers below `count` in random order."""
    return np.argsort(rng.integers(2**62, size=count), kind="stable")


def uniform(rng: Generator, low: float, high: float, size: tuple[int, ...]) -> NDArray[np.float64]:
    """Numbers spread evenly over `low` to `high`, to the resolution of a double."""
    return low + (high - low) * (rng.integers(2**53, size=size) / 2**53)


def series_splits(
    rng: Generator, draw: Draw, classes: Sequence[str], sizes: Mapping[str, int]
) -> dict[str, dict[str, NDArray[Any]]]:
    """Splits of labelled series, equally many of each class, in random order.

    `draw(rng, name, count)` gives `count` series of class `name` as `[count, T]`. Each series is
    brought to mean 0 and standard deviation 1 by itself, as in the UCR archive (Dau et al. 2019).
    """
    splits = {}
    for split, size in sizes.items():
        count = size // len(classes)
        series = np.concatenate([draw(rng, name, count) for name in classes])  # [N, T]
        series = (series - series.mean(axis=1, keepdims=True)) / series.std(axis=1, keepdims=True)
        labels = np.arange(len(classes), dtype=np.int64).repeat(count)
        order = permutation(rng, len(labels))
        splits[split] = {"series": series[order, :, None].astype(np.float32), "labels": labels[order]}
    return splits
