"""How good a model is on a split: its metrics with intervals, beside a trivial predictor's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.random import PCG64, Generator
from numpy.typing import NDArray
from torch import nn
from torchmetrics.aggregation import MeanMetric

from zoo.data.batches import batches
from zoo.data.splits import Batch, Split
from zoo.judging.classes import ClassReport, classes_of
from zoo.judging.steps import StepError, steps_of
from zoo.judging.worst import Sample, worst_of
from zoo.specs import TaskSpec
from zoo.tasks.base import ANSWERS, Baseline, Detailed, Prepared, Scores, Task
from zoo.tasks.macro import macro_metrics
from zoo.tasks.text import tell_truncation, truncation

Pair = tuple[torch.Tensor, torch.Tensor]
T = TypeVar("T")
RESAMPLES = 1000
INTERVAL = (10.0, 90.0)  # percent: an 80% interval


@dataclass(frozen=True)
class Metric:
    """A metric's value and its 80% interval over samples that might have been drawn instead."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What a model reached on `samples` samples of a data set's split; `notes` say what it saw less of.

    `classes` is there where the task has classes, `steps` where it forecasts, `worst` where samples were
    asked for; `loss` says what these were chosen by. `scores` are those of the samples one by one.
    """

    model: str
    task: str
    data: str
    split: str
    samples: int
    metrics: dict[str, Metric]
    baseline: Baseline
    notes: tuple[str, ...] = ()
    classes: ClassReport | None = None
    steps: tuple[StepError, ...] = ()
    worst: tuple[Sample, ...] = ()
    loss: str = ""
    scores: Scores = field(default_factory=dict, repr=False, compare=False)

    def as_json(self) -> dict[str, Any]:
        """The document that `zoo evaluate --json` prints."""
        metrics = {name: vars(metric) for name, metric in self.metrics.items()}
        return {
            "schema": 1,
            "model": self.model,
            "task": self.task,
            "data": self.data,
            "split": self.split,
            "samples": self.samples,
            "metrics": metrics,
            "baseline": {"name": self.baseline.name, "metrics": dict(self.baseline.metrics)},
            "notes": list(self.notes),
            **(self.classes.as_json() if self.classes else {}),
            **({"steps": [step._asdict() for step in self.steps]} if self.steps else {}),
            **({"loss": self.loss, "worst": [vars(sample) for sample in self.worst]} if self.worst else {}),
        }


@torch.inference_mode()
def score(
    model: nn.Module,
    split: Split,
    task: Task,
    *,
    scale: float,
    device: torch.device,
    batch_size: int = 256,
    rows: torch.Tensor | None = None,
) -> Scores:
    """For each metric a value and a weight for each of the samples `rows` (int64 `[N]`, or all), on the CPU.

    `split` must be on `device`. The model is left in evaluation mode.
    """
    pieces: dict[str, list[Pair]] = {}
    for output, batch in _answers(model, split, task, device, batch_size, rows):
        _collect(pieces, task.scores(output, batch, scale))
    return _joined(pieces)


@torch.inference_mode()
def observe(
    model: nn.Module,
    split: Split,
    task: Task,
    *,
    scale: float,
    device: torch.device,
    batch_size: int = 256,
) -> tuple[Scores, dict[str, torch.Tensor]]:
    """The scores of all samples, and what a task that is `zoo.tasks.base.Detailed` tells of each besides."""
    pieces: dict[str, list[Pair]] = {}
    told: dict[str, list[torch.Tensor]] = {}
    for output, batch in _answers(model, split, task, device, batch_size):
        _collect(pieces, task.scores(output, batch, scale))
        if isinstance(task, Detailed):
            _collect(told, task.details(output, batch))
    return _joined(pieces), {name: torch.cat(parts).cpu() for name, parts in told.items()}


def _answers(
    model: nn.Module,
    split: Split,
    task: Task,
    device: torch.device,
    batch_size: int,
    rows: torch.Tensor | None = None,
) -> Iterator[tuple[torch.Tensor, Batch]]:
    """What the model, in evaluation mode from now on, answers to each batch of the samples."""
    model.eval()
    chosen = torch.arange(len(split)) if rows is None else rows
    for batch in batches(split, torch.split(chosen, batch_size), device):
        yield model(*task.inputs(batch)), batch


def _collect(pieces: dict[str, list[T]], found: Mapping[str, T]) -> None:
    for name, piece in found.items():
        pieces.setdefault(name, []).append(piece)


def _joined(pieces: Mapping[str, list[Pair]]) -> Scores:
    return {
        name: (
            torch.cat([value for value, _ in pairs]).cpu(),
            torch.cat([weight for _, weight in pairs]).cpu(),
        )
        for name, pairs in pieces.items()
    }


def judge(
    module: Any,
    spec: TaskSpec,
    task: Task,
    prepared: Prepared,
    split: str,
    seen: tuple[Scores, Mapping[str, torch.Tensor]],
    *,
    device: torch.device,
    worst: int = 0,
) -> Evaluation:
    """What the scores and details that `observe` gave say of a model that `zoo.load` gave.

    The model is asked anew only about the `worst` samples.
    """
    card, (scores, details) = module.zoo, seen
    measure, costs = losses(scores, details, spec)
    columns, judged = prepared.dataset.splits[split], prepared.splits[split]
    return Evaluation(
        model=card.name,
        task=spec.name,
        data=prepared.dataset.name,
        split=split,
        samples=len(judged),
        metrics=intervals(scores),
        baseline=task.baseline(prepared, split),
        notes=tuple(tell_truncation(truncation({split: judged}))),
        classes=classes_of(scores, details, card.labels),
        steps=steps_of(details, task.scale(prepared.dataset)),
        worst=worst_of(module, task, judged.to(device), columns, costs, worst),
        loss=measure,
        scores=scores,
    )


def losses(
    scores: Scores, details: Mapping[str, torch.Tensor], spec: TaskSpec
) -> tuple[str, NDArray[np.float64]]:
    """By which measure a sample costs, cross-entropy or else the primary metric, and each does, `[N]`."""
    if "cross_entropy" in details:
        return "cross_entropy", details["cross_entropy"].double().numpy()
    name = "cross_entropy" if "cross_entropy" in scores else spec.metric
    values = scores[name][0].double().numpy()
    return name, -values if name == spec.metric and spec.maximize else values


def means(scores: Scores) -> dict[str, float]:
    """Each metric: the weighted mean of its samples; those over classes where there are answers."""
    found: dict[str, float] = {}
    for name, (values, weights) in scores.items():
        if name == ANSWERS:
            found |= macro_metrics(values, weights)
            continue
        metric = MeanMetric(nan_strategy="disable").set_dtype(torch.float64)
        metric.update(values.double(), weights.double())
        found[name] = float(metric.compute())
    return found


def intervals(scores: Scores, *, seed: int = 0) -> dict[str, Metric]:
    """Each metric with its bootstrap interval (Efron 1979): 1,000 draws of as many samples."""
    rng = Generator(PCG64(seed))
    reached, drawn = means(scores), {}
    for name in scores:
        if name == ANSWERS:
            continue
        values, weights = (tensor.double().numpy() for tensor in scores[name])
        drawn[name] = np.empty(RESAMPLES)
        for number in range(RESAMPLES):
            rows = rng.integers(len(values), size=len(values))
            drawn[name][number] = (values[rows] * weights[rows]).sum() / max(weights[rows].sum(), 1e-12)
    if ANSWERS in scores:
        predicted, true = scores[ANSWERS]
        draws = (torch.from_numpy(rng.integers(len(true), size=len(true))) for _ in range(RESAMPLES))
        resampled = [macro_metrics(predicted[rows], true[rows]) for rows in draws]
        drawn |= {name: np.array([row[name] for row in resampled]) for name in resampled[0]}
    found = {}
    for name, value in reached.items():
        low, high = np.percentile(drawn[name], INTERVAL)
        found[name] = Metric(value, min(float(low), value), max(float(high), value))
    return found
