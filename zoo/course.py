"""The course of a training as its evaluations tell it: losses, errors, how far it is from guessing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from zoo.runs import RunRecord
from zoo.specs import Classes, Recipe, TaskSpec
from zoo.units import format_metric

FALLING = 0.8  # of all evaluations have a smaller loss than the one before, in a steady fall


@dataclass(frozen=True)
class Course:
    """A run's evaluations; errors are the primary metric turned so that less is better."""

    record: RunRecord
    rows: Sequence[Mapping[str, Any]]
    task: TaskSpec

    @property
    def recipe(self) -> Recipe:
        """The settings it was trained with."""
        return self.record.recipe

    @property
    def losses(self) -> list[float]:
        """The mean training loss before each evaluation."""
        return [row["loss"] for row in self.rows]

    @property
    def errors(self) -> list[float]:
        """On the validation split; of a fraction what is missing to one."""
        return [self.error_of(row["validation"][self.task.metric]) for row in self.rows]

    @property
    def unseen(self) -> list[float]:
        """The validation loss in the unit of the training loss; empty where the task does not tell."""
        return [
            row["validation"]["cross_entropy"] for row in self.rows if "cross_entropy" in row["validation"]
        ]

    def error_of(self, value: float) -> float:
        """A value of the primary metric as an error."""
        if not self.task.maximize:
            return value
        return 1 - value if self.task.unit == "fraction" else -value

    @property
    def best(self) -> int:
        """The evaluation with the smallest error, the first of several."""
        errors = self.errors
        return errors.index(min(errors))

    @property
    def guess(self) -> float | None:
        """The loss of guessing all classes alike; None where there are none."""
        output = self.record.problem.output
        return math.log(output.count) if isinstance(output, Classes) and output.count > 1 else None

    @property
    def skill(self) -> float | None:
        """How far the best is from the trivial predictor's error to none; None where that is not known."""
        trivial = self.record.baseline.get("metrics", {}).get(self.task.metric)
        if trivial is None:
            return None
        error = self.error_of(trivial)
        return 1 - min(self.errors) / error if error > 0 else None

    @property
    def calm(self) -> list[float]:
        """The loss with the least noise: on the validation split, else on the batches of training."""
        return self.unseen or self.losses

    @property
    def steady(self) -> bool:
        """Whether the loss fell at nearly every evaluation."""
        losses = self.calm
        falls = [after < before for before, after in pairwise(losses)]
        return bool(falls) and sum(falls) >= FALLING * len(falls)

    def told(self, error: float) -> str:
        """An error as the primary metric is read."""
        value = error
        if self.task.maximize:
            value = 1 - error if self.task.unit == "fraction" else -error
        return f"{self.task.metric} {format_metric(value, self.task.unit)}"
