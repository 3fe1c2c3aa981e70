"""What a run's own weights answer to the very samples that it was trained, chosen and judged on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from zoo import api
from zoo.data.dataset import SPLITS, Dataset
from zoo.errors import DataError
from zoo.evaluation import Evaluation, Metric, intervals, judge, losses, observe, score
from zoo.registry import Registry
from zoo.runs import Run
from zoo.specs import TaskSpec
from zoo.tasks.base import ANSWERS, Prepared, Scores, Task, prepare

TRAIN_ROWS = 20_000  # training samples that are looked at: more change no finding
SEED = 0


@dataclass(frozen=True, kw_only=True)
class Examined:
    """A run with its weights and its data, asked anew; `rows` are the training samples looked at.

    `details` are those of the test samples, where the task has some.
    """

    run: Run
    spec: TaskSpec
    task: Task
    module: Any
    dataset: Dataset
    prepared: Prepared
    rows: torch.Tensor
    scores: Mapping[str, Scores]
    details: Mapping[str, torch.Tensor]

    @cached_property
    def metrics(self) -> dict[str, Metric]:
        """The primary metric with its interval, by split."""
        return {split: intervals(found)[self.spec.metric] for split, found in self.scores.items()}

    def answers(self, split: str) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
        """The predicted and the true class of each sample; None where there are no classes."""
        if ANSWERS not in self.scores[split]:
            return None
        predicted, true = self.scores[split][ANSWERS]
        return predicted.numpy(), true.numpy()

    def judge(self, *, worst: int) -> Evaluation:
        """The evaluation on the test split, of what the model has answered already."""
        seen = self.scores["test"], self.details
        device = next(self.module.parameters(), torch.empty(0)).device
        return judge(
            self.module, self.spec, self.task, self.prepared, "test", seen, device=device, worst=worst
        )

    def costs(self, split: str) -> NDArray[np.float64]:
        """What each sample costs the model: its cross-entropy, or its error by the primary metric."""
        return losses(self.scores[split], {}, self.spec)[1]


def examine(run: Run, registry: Registry, *, data: Dataset | None, device: str) -> Examined:
    """Loads a run's weights and data and asks the one about the other.

    Raises `DataError` where the data cannot be read, or is no longer what the run was trained on.
    """
    dataset = api.data_of(run.path) if data is None else data
    if dataset.fingerprint() != run.record.data.get("fingerprint"):
        raise DataError(f"data {dataset.name!r} has changed since the run was trained on it")
    spec = registry.task(run.record.problem.task)
    task: Task = registry.task_implementation(spec.name)
    module: Any = api.load(run.path, device=device)
    prepared = prepare(task, dataset, run.record.preprocess)
    place, scale = torch.device(device), task.scale(dataset)
    rows = {"train": _some(len(prepared.splits["train"]))}
    splits = {split: prepared.splits[split].to(place) for split in SPLITS}
    scores = {
        split: score(module, splits[split], task, scale=scale, device=place, rows=rows.get(split))
        for split in ("train", "validation")
    }
    scores["test"], details = observe(module, splits["test"], task, scale=scale, device=place)
    return Examined(
        run=run,
        spec=spec,
        task=task,
        module=module,
        dataset=dataset,
        prepared=prepared,
        rows=rows["train"],
        scores=scores,
        details=details,
    )


def _some(count: int) -> torch.Tensor:
    """All rows, or `TRAIN_ROWS` of them at random, in order."""
    if count <= TRAIN_ROWS:
        return torch.arange(count)
    generator = torch.Generator().manual_seed(SEED)
    return torch.randperm(count, generator=generator)[:TRAIN_ROWS].sort().values
