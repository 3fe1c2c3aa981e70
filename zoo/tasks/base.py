"""What a task must offer to be trained, judged and used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn

from zoo.data.dataset import Columns, Dataset
from zoo.data.splits import Batch, Split
from zoo.errors import DataError
from zoo.specs import ModelSpec, Preprocess, Problem, Recipe

Scores = dict[str, tuple[Tensor, Tensor]]
ANSWERS = (
    "answers"  # of scores, the one that is no metric: predicted and true classes, for what needs all of them
)


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """What a trivial predictor reaches, and which one it is."""

    name: str
    metrics: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A data set as one model sees it: tensors, the problem they pose and how they were made."""

    dataset: Dataset
    problem: Problem
    preprocess: Preprocess
    splits: Mapping[str, Split]


class Task(Protocol):
    """One kind of problem. Implementations hold no state: one object serves every model."""

    name: str

    def fit(self, dataset: Dataset, spec: ModelSpec, recipe: Recipe) -> Preprocess:
        """The preprocessing that suits this data, architecture and recipe."""
        ...

    def problem(self, dataset: Dataset, preprocess: Preprocess) -> Problem:
        """The problem that the model must solve once the data has been preprocessed."""
        ...

    def encode(self, columns: Columns, preprocess: Preprocess, problem: Problem, *, training: bool) -> Split:
        """Raw columns as tensors."""
        ...

    def augment(self, batch: Batch, recipe: Recipe, problem: Problem) -> Batch:
        """A training batch, varied as the recipe says."""
        ...

    def inputs(self, batch: Batch) -> tuple[Tensor, ...]:
        """What the model's forward takes."""
        ...

    def loss(self, output: Tensor, batch: Batch, recipe: Recipe) -> Tensor:
        """The scalar that training lowers: a mean over the batch."""
        ...

    def weight(self, batch: Batch, recipe: Recipe) -> Tensor:
        """What `loss` is a mean over, as a scalar: samples, tokens, or what they count.

        The losses of a batch's pieces, weighed by this, make the loss of the batch.
        """
        ...

    def scores(self, output: Tensor, batch: Batch, scale: float) -> Scores:
        """For each metric a value and a weight per sample; the metric is the weighted mean.

        A task with classes may add `ANSWERS`: the predicted and the true class of each sample.
        """
        ...

    def scale(self, dataset: Dataset) -> float:
        """A property of the training data that metrics are measured against; 1 where there is none."""
        ...

    def baseline(self, prepared: Prepared, split: str) -> Baseline:
        """What a trivial predictor, fitted on the training split, reaches on `split`."""
        ...

    def read(self, items: Sequence[str], preprocess: Preprocess, batch_size: int) -> Iterator[Batch]:
        """What a user gives to predict from (paths, texts), a batch of inputs at a time."""
        ...

    def predict(
        self,
        model: nn.Module,
        batch: Batch,
        *,
        labels: Sequence[str],
        preprocess: Preprocess,
        **options: Any,
    ) -> list[dict[str, Any]]:
        """One plain record per sample; options that mean nothing to the task are passed over."""
        ...


@runtime_checkable
class Detailed(Protocol):
    """What a task may offer besides: more of each sample than its metrics, where a model is judged."""

    def details(self, output: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Columns `[B, ...]`: `confidence` of an answer, `cross_entropy` of a sample, `errors` by step."""
        ...


def prepare(task: Task, dataset: Dataset, preprocess: Preprocess) -> Prepared:
    """Every split of a data set as tensors; raises `DataError` where one is too small to be used."""
    problem = task.problem(dataset, preprocess)
    splits: dict[str, Split] = {}
    encoded: dict[int, Split] = {}  # of columns that several splits share
    for name, columns in dataset.splits.items():
        if id(columns) not in encoded:
            encoded[id(columns)] = task.encode(columns, preprocess, problem, training=name == "train")
        splits[name] = encoded[id(columns)]
    for name, split in splits.items():
        if len(split) == 0:
            raise DataError(f"data {dataset.name!r}: its {name} split is too small for a single sample")
    return Prepared(dataset=dataset, problem=problem, preprocess=preprocess, splits=splits)
