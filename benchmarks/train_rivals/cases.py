"""The models that are trained, and data for them, drawn from a seed by numpy, which all contestants have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

SEED = 0
LR = 1e-3
WEIGHT_DECAY = 0.01  # of matrices; norms and biases are not decayed
BETAS, EPSILON = (0.9, 0.999), 1e-8
PRINTABLE = np.arange(32, 127, dtype=np.uint8)  # ASCII: one byte each
END, VOCABULARY = 258, 259  # a byte is the token one above it; 258 ends a document


@dataclass(frozen=True, kw_only=True)
class Case:
    """One model on one kind of data.

    `shape` is that of a sample: an image's `(C, H, W)`, a series' `(T, C)`, a text's `(T,)`. `steps` are the
    timed ones; `clip` is the largest norm of the gradient, or 0. `faster` is the least by which our defaults
    are to be faster than Keras, where that is asked for.
    """

    task: Literal["image-classification", "series-classification", "language-modeling"]
    model: str
    options: Mapping[str, Any]
    shape: tuple[int, ...]
    classes: int
    batch: int
    steps: int
    clip: float = 0.0
    faster: float | None = None


_CONVNET: dict[str, Any] = {
    "task": "image-classification",
    "model": "cnn/convnet",
    "options": {"width": 32, "dropout": 0.5},
    "shape": (1, 28, 28),
    "classes": 10,
}
CASES = {
    "convnet, batch 32": Case(**_CONVNET, batch=32, steps=200, faster=1.0),
    "convnet, batch 256": Case(**_CONVNET, batch=256, steps=60, faster=1.5),
    "lstm, batch 32": Case(
        task="series-classification",
        model="lstm/classifier",
        options={"units": 64, "layers": 1, "patch": 2, "dropout": 0.2},
        shape=(128, 9),
        classes=6,
        batch=32,
        steps=100,
        clip=1.0,
    ),
    "gpt, batch 8": Case(
        task="language-modeling",
        model="transformer/gpt",
        options={"dim": 128, "depth": 4, "heads": 4, "dropout": 0.0},
        shape=(128,),
        classes=VOCABULARY,
        batch=8,
        steps=60,
        clip=1.0,
    ),
}


@dataclass(frozen=True)
class Data:
    """Samples as a model is given them, and what it should answer.

    Images `[N, C, H, W]` and series `[N, T, C]` in float32 with labels `[N]`, or tokens `[N, T]` with those
    that follow them, int64. `raw` is what they were before: uint8 images, the same series, one text.
    """

    inputs: NDArray[Any]
    targets: NDArray[np.int64]
    raw: Any


def make_data(case: Case, samples: int) -> Data:
    """The same for the same arguments, on every machine."""
    rng = np.random.default_rng(SEED)
    if case.task == "language-modeling":
        return _make_text(rng, samples, case.shape[0])
    labels = rng.integers(case.classes, size=samples)
    if case.task == "series-classification":
        series = rng.standard_normal((samples, *case.shape), dtype=np.float32)
        series -= series.mean(axis=1, keepdims=True)
        series /= series.std(axis=1, keepdims=True)
        return Data(series, labels, series)
    pixels = rng.integers(256, size=(samples, *case.shape), dtype=np.uint8)
    shares = pixels.astype(np.float32) / 255
    mean, std = (round(float(value), 4) for value in (shares.mean(dtype=np.float64), shares.std()))
    return Data((shares - np.float32(mean)) / np.float32(std), labels, pixels)


def _make_text(rng: np.random.Generator, windows: int, length: int) -> Data:
    """One document, cut into windows each of which goes on where the one before ends."""
    text = rng.choice(PRINTABLE, size=windows * length)
    stream = np.append(text.astype(np.int64) + 1, END)
    inputs, targets = stream[:-1].reshape(windows, length), stream[1:].reshape(windows, length)
    return Data(inputs, targets, text.tobytes().decode("ascii"))
