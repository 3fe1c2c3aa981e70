"""The samples on which an exported model is checked: real ones where they can be had."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TypeGuard, cast

import torch
from torch import Tensor

from zoo import api
from zoo.build import Card
from zoo.data.dataset import Dataset
from zoo.data.load import load_dataset, match_labels
from zoo.errors import ZooError
from zoo.golden import golden_columns
from zoo.paths import is_file
from zoo.registry import installed
from zoo.runs import RECORD
from zoo.specs import Preprocess

COUNT = 16
FIXED = "fixed noise and texts"


@dataclass(frozen=True)
class Samples:
    """What a model's forward takes, `[N, ...]` each and at least two of them, and where they come from."""

    inputs: tuple[Tensor, ...]
    data: str

    def __len__(self) -> int:
        return len(self.inputs[0])


def is_run(model: object) -> TypeGuard[str | os.PathLike[str]]:
    """Whether it is the folder of a run."""
    return isinstance(model, str | os.PathLike) and is_file(model, RECORD)


def find_samples(model: object, card: Card, data: str | Dataset | None) -> Samples:
    """Test samples of `data`, else of what the model was trained on, else fixed ones.

    Raises `DataError` for data that were asked for and do not suit.
    """
    dataset = _dataset(model, card, data)
    if dataset is None:
        columns, told = golden_columns(card.problem), FIXED
    else:
        split = "test" if "test" in dataset.splits else list(dataset.splits)[-1]
        columns, told = dataset.splits[split], f"{dataset.name} ({split})"
    task = installed().task_implementation(card.problem.task)
    encoded = task.encode(columns, cast(Preprocess, card.preprocess), card.problem, training=False)
    rows = torch.arange(COUNT).clamp(max=len(encoded) - 1)  # the last one again where there are fewer
    rows = rows[: max(2, len(encoded))]
    return Samples(inputs=task.inputs(encoded.take(rows)), data=told)


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
