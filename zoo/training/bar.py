"""What a person sees of a training while it runs."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from zoo.runs import Run
from zoo.tasks.text import tell_truncation
from zoo.training.callbacks import Callback
from zoo.training.loop import Step
from zoo.training.meter import Meter
from zoo.units import format_bytes, format_seconds

REFRESH_SECONDS = 0.25  # between two looks at the loss, which wait for the device


class ProgressBar(Callback):
    """A live bar on stderr: loss, metric, samples a second, share of waiting for data, memory, time left.

    Without a terminal it is a line for each evaluation.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            TextColumn("{task.completed}/{task.total}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[figures]}"),
            console=console,
            disable=not console.is_terminal,
        )
        self._bar: TaskID | None = None
        self._meter, self._metric = Meter(), ""
        self._begun, self._first, self._total = time.perf_counter(), 0, 0

    def start(self, run: Run, total_steps: int, first_step: int) -> None:
        """Opens the bar, under what there was no room for."""
        for line in tell_truncation(run.record.data, mend="-o length=N keeps more"):
            self._console.print(f"data: {line}", highlight=False, soft_wrap=True)
        self._bar = self._progress.add_task(
            run.record.model, total=total_steps, completed=first_step, figures=""
        )
        self._begun, self._first, self._total = time.perf_counter(), first_step, total_steps
        self._progress.start()
        self._meter.start()

    def step(self, step: Step) -> None:
        """Moves the bar; reads the loss from the device some times a second only."""
        self._meter.step(step)
        if self._bar is None or not self._console.is_terminal or self._meter.seconds < REFRESH_SECONDS:
            return
        told = (f"loss {step.loss.item():.4f}", self._metric, tell(self._meter.row()))
        self._progress.update(self._bar, completed=step.number, figures="  ".join(filter(None, told)))
        self._meter.start()

    def epoch(self, row: Mapping[str, Any]) -> None:
        """Shows the metric; prints it where there is no bar."""
        metric, value = next(iter(row["validation"].items()))
        self._metric = f"{metric} {value:.4f}"
        if not self._console.is_terminal:
            figures = {**self._meter.row(), **row}  # the run's own are of all that was trained since the last
            told = (f"loss {row['loss']:.4f}", f"validation {self._metric}", tell(figures), self._left(row))
            self._console.print(f"step {row['step']:>6}  {'  '.join(told)}", highlight=False, soft_wrap=True)
        self._meter.start()

    def end(self, run: Run) -> None:
        """Closes the bar."""
        self._progress.stop()

    def _left(self, row: Mapping[str, Any]) -> str:
        done, elapsed = row["step"] - self._first, time.perf_counter() - self._begun
        left = elapsed / max(1, done) * (self._total - row["step"])
        return f"{format_seconds(elapsed)}, {format_seconds(left)} left"


def tell(figures: Mapping[str, Any]) -> str:
    """What a `Meter` has found, such as `1,234 samples/s  waiting 3%  843 MB`."""
    return (
        f"{figures['samples_per_second']:,.0f} samples/s  waiting {figures['waiting']:.0%}  "
        f"{format_bytes(figures['memory_bytes'])}"
    )
