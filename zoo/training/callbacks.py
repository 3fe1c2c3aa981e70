"""Observers of a training run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from zoo.runs import Run
from zoo.training.loop import Step


class Callback:
    """Does nothing at each moment of a run; a subclass does what it wants at some.

    `epoch` gets the line that goes into `metrics.jsonl`: `step`, `epoch`, `seconds`, `loss`, `lr`,
    `validation`, the metrics by name, and `samples_per_second`, `waiting` and `memory_bytes`.
    """

    def start(self, run: Run, total_steps: int, first_step: int) -> None:
        """Before the first step."""

    def step(self, step: Step) -> None:
        """After each optimizer step; `step.loss` is still on the device."""

    def epoch(self, row: dict[str, Any]) -> None:
        """After each evaluation."""

    def end(self, run: Run) -> None:
        """After the last step, or when the run is interrupted."""


@dataclass(frozen=True)
class Callbacks(Callback):
    """Several observers, told in order."""

    members: Sequence[Callback]

    def start(self, run: Run, total_steps: int, first_step: int) -> None:
        """Passed on."""
        for member in self.members:
            member.start(run, total_steps, first_step)

    def step(self, step: Step) -> None:
        """Passed on."""
        for member in self.members:
            member.step(step)

    def epoch(self, row: dict[str, Any]) -> None:
        """Passed on."""
        for member in self.members:
            member.epoch(row)

    def end(self, run: Run) -> None:
        """Passed on."""
        for member in self.members:
            member.end(run)
