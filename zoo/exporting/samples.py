"""The samples on which an exported model is checked: real ones where they can be had."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial
from typing import TypeGuard, cast

import torch
from torch import Tensor

from zoo import api
from zoo.build import Card
from zoo.data.dataset import Dataset
from zoo.data.load import load_dataset, match_labels
from zoo.data.splits import Batch, Split
from zoo.errors import ZooError
from zoo.golden import golden_columns
from zoo.paths import is_file
from zoo.registry import installed
from zoo.runs import RECORD
from zoo.specs import Preprocess

COUNT = 16
CALIBRATED = 128  # training samples by which ranges of numbers are found
FIXED = "fixed noise and texts"


@dataclass(frozen=True)
class Samples:
    """What a model's forward takes, `[N, ...]` each and at least two of them, and where they come from.

    `calibration` are such inputs of the training split, or the same ones where there is none. `judged` is the
    whole split where the samples are real, `scale` what its metrics are measured against.
    """

    inputs: tuple[Tensor, ...]
    data: str
    calibration: tuple[Tensor, ...] = ()
    judged: Split | None = None
    scale: float = 1.0

    def __len__(self) -> int:
        return len(self.inputs[0])


def is_run(model: object) -> TypeGuard[str | os.PathLike[str]]:
    """Whether it is the folder of a run."""
    return isinstance(model, str | os.PathLike) and is_file(model, RECORD)


def find_samples(
    model: object, card: Card, data: str | Dataset | None, *, calibrate: bool = False
) -> Samples:
    """Test samples of `data`, else of what the model was trained on, else fixed ones.

    Training samples are read only to `calibrate`. Raises `DataError` for data that were asked for and do not
    suit.
    """
    dataset = _dataset(model, card, data)
    task = installed().task_implementation(card.problem.task)
    encode = partial(
        task.encode, preprocess=cast(Preprocess, card.preprocess), problem=card.problem, training=False
    )
    if dataset is None:
        inputs = task.inputs(_first(encode(golden_columns(card.problem)), COUNT))
        return Samples(inputs=inputs, data=FIXED, calibration=inputs)
    split = "test" if "test" in dataset.splits else list(dataset.splits)[-1]
    judged = encode(dataset.splits[split])
    seen = encode(dataset.splits["train"]) if calibrate and "train" in dataset.splits else judged
    return Samples(
        inputs=task.inputs(_first(judged, COUNT)),
        data=f"{dataset.name} ({split})",
        calibration=task.inputs(_first(seen, CALIBRATED)) if calibrate else (),
        judged=judged,
        scale=task.scale(dataset),
    )


def _first(split: Split, count: int) -> Batch:
    """So many samples; of fewer the last one again, of a single one two."""
    rows = torch.arange(count).clamp(max=len(split) - 1)
    return split.take(rows[: max(2, len(split))])


def _dataset(model: object, card: Card, data: str | Dataset | None) -> Dataset | None:
    registry = installed()
    if data is not None:
        given = load_dataset(data, judge="test", registry=registry) if isinstance(data, str) else data
        return match_labels(given, card.problem, card.labels, card.name)
    try:
        if is_run(model):
            return api.data_of(model)
        known = card.weights is not None and card.weights.dataset in registry.datasets
        return load_dataset(card.weights.dataset, registry=registry) if card.weights and known else None
    except ZooError:  # a run's data may be elsewhere by now, and a data set on a hub that is not reached
        return None
