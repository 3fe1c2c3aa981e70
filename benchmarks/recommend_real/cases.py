"""Trainings that are measured: which models, on made-up data of which sizes, in batches of how many."""

from __future__ import annotations

import string
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import zoo
from zoo.data import load_dataset
from zoo.specs import Input, Output, Problem

VALIDATION = 0.15 / 0.70  # of the training samples, as where data has no splits of its own
WRITTEN = 10  # letters of a target


@dataclass(frozen=True)
class Case:
    """One training: `size` is a side of images with three channels, or a length in tokens or steps.

    With `data`, that data set is trained on by the model's own recipe.
    """

    model: str
    task: str
    size: int
    batch: int
    steps: int = 12
    classes: int = 10
    data: str = ""

    @property
    def name(self) -> str:
        """What it is known by in the files of results."""
        return f"{self.model} on {self.data}" if self.data else f"{self.model} {self.size} x {self.batch}"

    @property
    def samples(self) -> int:
        """Of the training split: as many as make the steps."""
        return self.steps * self.batch

    @property
    def settings(self) -> dict[str, Any]:
        """What is changed of the model's own recipe: one epoch of these batches; nothing on a data set."""
        if self.data:
            return {}
        once = {"epochs": 1, "warmup_epochs": 0.0, "head_epochs": 0.0, "steps": None}
        sized = {"image_size": self.size} if self.task == IMAGES else {}
        return {"batch_size": self.batch, **once, **sized}

    @property
    def problem(self) -> Problem:
        """What the recommender is asked about."""
        if self.data:
            problem: Problem = load_dataset(self.data).problem
            return problem
        sides = _sides(self)
        return Problem(task=self.task, input=sides[0], output=sides[1], samples=self.samples)


IMAGES, TEXT, SERIES = "image-classification", "text-classification", "series-classification"
LANGUAGE, SEQ2SEQ, FORECAST = "language-modeling", "seq2seq", "forecasting"

CASES = (
    Case("cnn/lenet5", IMAGES, 32, 256, steps=40),
    Case("cnn/convnet", IMAGES, 28, 64, steps=40),
    Case("cnn/convnet", IMAGES, 28, 1024),
    Case("cnn/airbench", IMAGES, 32, 128),
    Case("cnn/resnet20", IMAGES, 32, 64),
    Case("cnn/resnet56", IMAGES, 32, 128, steps=8),
    Case("cnn/wide_resnet", IMAGES, 32, 64, steps=8),
    Case("transformer/vit", IMAGES, 32, 128),
    Case("timm/resnet18", IMAGES, 64, 64),
    Case("timm/resnet18", IMAGES, 224, 16, steps=6),
    Case("timm/resnet50", IMAGES, 128, 16, steps=6),
    Case("timm/resnet50", IMAGES, 224, 16, steps=5),
    Case("timm/mobilenetv3_small_100", IMAGES, 128, 32),
    Case("timm/mobilenetv3_large_100", IMAGES, 224, 16, steps=8),
    Case("timm/efficientnet_b0", IMAGES, 160, 16, steps=8),
    Case("timm/convnext_tiny", IMAGES, 224, 8, steps=5),
    Case("timm/vit_tiny_patch16_224", IMAGES, 224, 32, steps=6),
    Case("timm/deit_small_patch16_224", IMAGES, 224, 16, steps=5),
    Case("timm/vgg11", IMAGES, 64, 32, steps=6),
    Case("timm/densenet121", IMAGES, 96, 16, steps=8),
    Case("timm/regnety_004", IMAGES, 128, 32),
    Case("cnn/textcnn", TEXT, 256, 64),
    Case("lstm/classifier", TEXT, 128, 64),
    Case("lstm/classifier", TEXT, 256, 256, steps=6),
    Case("transformer/classifier", TEXT, 128, 64),
    Case("transformer/classifier", TEXT, 256, 128, steps=6),
    Case("cnn/fcn", SERIES, 128, 64),
    Case("cnn/minirocket", SERIES, 256, 64),
    Case("cnn/inception_time", SERIES, 256, 64),
    Case("lstm/lstm_fcn", SERIES, 128, 64),
    Case("transformer/series_classifier", SERIES, 256, 64),
    Case("lstm/language_model", LANGUAGE, 256, 16),
    Case("lstm/min_gru", LANGUAGE, 256, 16),
    Case("transformer/gpt", LANGUAGE, 256, 16),
    Case("transformer/gpt", LANGUAGE, 256, 64, steps=6),
    Case("lstm/seq2seq", SEQ2SEQ, 40, 64),
    Case("transformer/seq2seq", SEQ2SEQ, 40, 256),
    Case("cnn/tcn", FORECAST, 96, 64),
    Case("lstm/forecaster", FORECAST, 96, 256),
    Case("transformer/patchtst", FORECAST, 96, 256),
)
WHOLE = (  # trained by their own recipes, on data sets that are there
    Case("cnn/lenet5", IMAGES, 8, 0, data="digits"),
    Case("transformer/vit", IMAGES, 8, 0, data="digits"),
    Case("lstm/classifier", SERIES, 60, 0, data="control"),
    Case("cnn/fcn", SERIES, 128, 0, data="cbf"),
    Case("transformer/patchtst", FORECAST, 96, 0, data="mackey-glass"),
)


def _sides(case: Case) -> tuple[Input, Output]:
    """What goes in and what comes out."""
    classes = zoo.Classes(count=case.classes, names=tuple(string.ascii_lowercase[: case.classes]))
    if case.task == IMAGES:
        return zoo.ImageInput(channels=3, height=case.size, width=case.size), classes
    if case.task in (SERIES, FORECAST):
        series = zoo.SeriesInput(channels=1, length=case.size)
        return series, classes if case.task == SERIES else zoo.SeriesOutput(channels=1, length=24)
    tokens = zoo.TokenInput(vocab_size=259, length=case.size)
    if case.task == TEXT:
        return tokens, classes
    return tokens, zoo.TokenOutput(vocab_size=259, length=WRITTEN if case.task == SEQ2SEQ else case.size)


def dataset(case: Case) -> zoo.Dataset:
    """Its data set, or noise of its size, made a column at a time: no more is in memory than is kept."""
    if case.data:
        return load_dataset(case.data)
    counts = {"train": case.samples, "validation": max(2, round(VALIDATION * case.samples))}
    counts["test"] = counts["validation"]
    splits = {split: dict(_columns(case, count)) for split, count in counts.items()}
    return zoo.Dataset(name="made-up", problem=case.problem, splits=splits)


def _columns(case: Case, count: int) -> Iterator[tuple[str, object]]:
    import numpy as np

    draw = np.random.default_rng(0)
    if case.task == IMAGES:
        yield "images", draw.integers(0, 256, size=(count, 3, case.size, case.size), dtype=np.uint8)
    elif case.task == SERIES:
        yield "series", draw.standard_normal((count, case.size, 1), dtype=np.float32)
    elif case.task == FORECAST:
        steps = count + case.size + 23
        yield "series", draw.standard_normal((steps, 1), dtype=np.float32)
    elif case.task == SEQ2SEQ:
        yield "source", [_text(draw, case.size - 2) for _ in range(count)]
        yield "target", [_text(draw, WRITTEN - 2) for _ in range(count)]
    elif case.task == TEXT:
        yield "text", [_text(draw, case.size) for _ in range(count)]
    else:
        yield "text", [_text(draw, case.size * count)]
    if isinstance(case.problem.output, zoo.Classes):
        yield "labels", np.arange(count) % case.classes


def _text(draw: object, length: int) -> str:
    letters = draw.integers(97, 123, size=length, dtype="uint8")  # type: ignore[attr-defined]  # numpy is imported late
    return letters.tobytes().decode()
