"""Cylinder, bell or funnel: three shapes of one event in a noisy series."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from zoo.data.dataset import Dataset
from zoo.data.samples._draws import generator, series_splits
from zoo.specs import Classes, Problem, SeriesInput

CLASSES = ("cylinder", "bell", "funnel")
LENGTH = 128


def load() -> Dataset:
    """30, 60 and 900 series `[N, 128, 1]` to train, validate and test, each standardised by itself."""
    return load_drawn(1)


def load_drawn(seed: int) -> Dataset:
    """The data set as another draw would have it, in the same sizes."""
    splits = series_splits(generator(seed), draw, CLASSES, {"train": 30, "validation": 60, "test": 900})
    return Dataset(
        name="cbf",
        problem=Problem(
            task="series-classification",
            input=SeriesInput(channels=1, length=LENGTH),
            output=Classes(count=len(CLASSES), names=CLASSES),
            samples=len(splits["train"]["labels"]),
        ),
        splits=splits,
        license="Apache-2.0",
    )


def draw(rng: Generator, name: str, count: int) -> NDArray[np.float64]:
    """`count` series of class `name`, `[count, 128]`, before they are standardised.

    For t = 1..128, with h and e(t) standard normal and whole a in 16..32, b - a in 32..96:

        cylinder  (6 + h) * [a <= t <= b]                     + e(t)
        bell      (6 + h) * [a <= t <= b] * (t - a) / (b - a) + e(t)
        funnel    (6 + h) * [a <= t <= b] * (b - t) / (b - a) + e(t)

    Source: Saito, "Local feature extraction and its applications using a library of bases", PhD
    thesis, Yale, 1994.
    """
    time = np.arange(1, LENGTH + 1)  # [T]
    start = rng.integers(16, 32, size=(count, 1), endpoint=True)
    width = rng.integers(32, 96, size=(count, 1), endpoint=True)
    elapsed = (time - start) / width  # [count, T], from 0 to 1 during the event
    shape = {"cylinder": np.ones_like(elapsed), "bell": elapsed, "funnel": 1 - elapsed}[name]
    event = shape * ((elapsed >= 0) & (elapsed <= 1))
    return (6 + rng.standard_normal((count, 1))) * event + rng.standard_normal((count, LENGTH))
