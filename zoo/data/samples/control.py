"""Synthetic control charts: what a process does, told from 60 measurements."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from zoo.data.dataset import Dataset
from zoo.data.samples._draws import generator, series_splits, uniform
from zoo.specs import Classes, Problem, SeriesInput

CLASSES = ("normal", "cyclic", "increasing", "decreasing", "upward shift", "downward shift")
LENGTH = 60


def load() -> Dataset:
    """300, 60 and 300 charts `[N, 60, 1]` to train, validate and test, each standardised by itself."""
    return load_drawn(2)


def load_drawn(seed: int) -> Dataset:
    """The data set as another draw would have it, in the same sizes."""
    splits = series_splits(generator(seed), draw, CLASSES, {"train": 300, "validation": 60, "test": 300})
    return Dataset(
        name="control",
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
    """`count` charts of class `name`, `[count, 60]`, before they are standardised.

    For t = 1..60, with r(t) uniform in -3..3, the others uniform too, once for each chart:

        normal           30 + 2 r(t)
        cyclic           30 + 2 r(t) + a sin(2 pi t / T)    a, T in 10..15
        increasing       30 + 2 r(t) + g t                  g in 0.2..0.5
        decreasing       30 + 2 r(t) - g t
        upward shift     30 + 2 r(t) + x [t >= s]           x in 7.5..20, s in 20..40
        downward shift   30 + 2 r(t) - x [t >= s]

    Source: Alcock & Manolopoulos, "Time-series similarity queries employing a feature-based
    approach", 7th Hellenic Conference on Informatics, 1999.
    """
    time = np.arange(1, LENGTH + 1)  # [T]
    once = (count, 1)
    noise = 2 * uniform(rng, -3, 3, (count, LENGTH))
    match name:
        case "normal":
            change = np.zeros_like(noise)
        case "cyclic":
            amplitude, period = uniform(rng, 10, 15, once), uniform(rng, 10, 15, once)
            change = amplitude * np.sin(2 * np.pi * time / period)
        case "increasing" | "decreasing":
            change = uniform(rng, 0.2, 0.5, once) * time
        case _:
            change = uniform(rng, 7.5, 20, once) * (time >= uniform(rng, LENGTH / 3, 2 * LENGTH / 3, once))
    return 30 + noise + (-change if name in ("decreasing", "downward shift") else change)
