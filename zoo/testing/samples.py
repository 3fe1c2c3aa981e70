"""A few samples to train on: made up for the zoo's own tasks, taken from a data set for others."""

from __future__ import annotations

import string
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.random import PCG64, Generator

from zoo.data.dataset import COLUMNS, SPLITS, Columns, Dataset
from zoo.registry import Registry
from zoo.specs import Classes, ImageInput, Problem, SeriesInput, SeriesOutput, TokenInput

SAMPLES = 12  # of each split
LETTERS = 4  # different ones in a text


def tiny_dataset(problem: Problem) -> Dataset | None:
    """Samples that can be told apart, of the problem's size; None for a task that the kit does not know."""
    if problem.task not in COLUMNS:
        return None
    rng = Generator(PCG64(0))
    splits = {split: _columns(problem, rng) for split in SPLITS}
    return Dataset(name="kit", problem=problem.replace(samples=SAMPLES), splits=splits)


def growing(registry: Registry, task: str) -> Iterator[Dataset]:
    """The first rows of the smallest data set for a task: one, twice as many, and so on to all of them."""
    specs = [spec for spec in registry.datasets.values() if spec.problem.task == task]
    if not specs:
        return
    spec = min(specs, key=lambda spec: spec.problem.samples or 10**12)
    whole: Dataset = registry.dataset_loader(spec.name)()
    rows = 1
    while rows < max(map(whole.size, SPLITS)):
        splits = {
            split: {name: column[:rows] for name, column in whole.splits[split].items()} for split in SPLITS
        }
        yield replace(whole, splits=splits)
        rows *= 2
    yield whole


def _columns(problem: Problem, rng: Generator) -> Columns:
    """Raw columns as `zoo.data.dataset.COLUMNS` has them."""
    labels: dict[str, Any] = {}
    if isinstance(problem.output, Classes):
        labels["labels"] = np.arange(SAMPLES) % problem.output.count
    match problem.input:
        case ImageInput(channels=channels, height=height, width=width):
            return {"images": _images(rng, channels, height, width), **labels}
        case SeriesInput(channels=channels, length=length):
            if isinstance(problem.output, SeriesOutput):
                steps = length + problem.output.length + SAMPLES - 1
                return {"series": _walks(rng, 1, steps, channels)[0]}
            return {"series": _walks(rng, SAMPLES, length, channels), **labels}
        case TokenInput(length=length):
            if labels:
                return {"text": _texts(rng, SAMPLES, length), **labels}
            if problem.task == "seq2seq":
                return {"source": _texts(rng, SAMPLES, length), "target": _texts(rng, SAMPLES, 4)}
            return {"text": _texts(rng, 1, SAMPLES * length)}


def _images(rng: Generator, channels: int, height: int, width: int) -> np.ndarray:
    """Coarse patterns, each its own, under noise: uint8 `[N, C, H, W]`."""
    coarse = rng.integers(40, 216, size=(SAMPLES, channels, 3, 3))
    rows, columns = (np.arange(side) * 3 // side for side in (height, width))
    noise = rng.integers(-40, 40, size=(SAMPLES, channels, height, width))
    return (coarse[:, :, rows][:, :, :, columns] + noise).astype(np.uint8)


def _walks(rng: Generator, count: int, steps: int, channels: int) -> np.ndarray:
    """Random walks, float32 `[N, T, C]`."""
    walks = rng.normal(size=(count, steps, channels)).cumsum(axis=1)
    return walks.astype(np.float32)


def _texts(rng: Generator, count: int, length: int) -> list[str]:
    """Texts of few letters, of which each text has its own."""
    letters = np.array(list(string.ascii_lowercase))
    own = [rng.choice(letters, size=LETTERS, replace=False) for _ in range(count)]
    return ["".join(rng.choice(few, size=length)) for few in own]
