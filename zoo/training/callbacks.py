"""Observers of a training run."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from zoo.runs import Run
from zoo.tasks.text import tell_truncation
from zoo.training.loop import Step


class Callback:
    """Does nothing at each moment of a run; a subclass does what it wants at some.

    `epoch` gets the line that goes into `metrics.jsonl`: `step`, `epoch`, `seconds`, `loss`, `lr`,
    and `validation`, the metrics by name.
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


class ProgressBar(Callback):
    """A live bar on stderr: loss, metric, samples a second, time left; a line an epoch without a terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed}/{task.total}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[figures]}"),
            console=console,
            disable=not console.is_terminal,
        )
        self._bar: TaskID | None = None
        self._samples, self._since, self._shown = 0, time.perf_counter(), ""

    def start(self, run: Run, total_steps: int, first_step: int) -> None:
        """Opens the bar, under what there was no room for."""
        for line in tell_truncation(run.record.data, mend="-o length=N keeps more"):
            self._console.print(f"data: {line}", highlight=False, soft_wrap=True)
        self._bar = self._progress.add_task(
            run.record.model, total=total_steps, completed=first_step, figures=""
        )
        self._progress.start()

    def step(self, step: Step) -> None:
        """Moves the bar; reads the loss from the device some times a second only."""
        self._samples += step.samples
        elapsed = time.perf_counter() - self._since
        if self._bar is not None and elapsed > 0.25:
            figures = f"loss {step.loss.item():.4f}  {self._samples / elapsed:,.0f} samples/s  {self._shown}"
            self._progress.update(self._bar, completed=step.number, figures=figures)
            self._samples, self._since = 0, time.perf_counter()

    def epoch(self, row: dict[str, Any]) -> None:
        """Shows the metric; prints it where there is no bar."""
        metric, value = next(iter(row["validation"].items()))
        self._shown = f"{metric} {value:.4f}"
        if not self._console.is_terminal:
            figures = f"loss {row['loss']:.4f}  validation {self._shown}  {row['seconds']:.0f} s"
            self._console.print(f"step {row['step']:>6}  {figures}", highlight=False)

    def end(self, run: Run) -> None:
        """Closes the bar."""
        self._progress.stop()
