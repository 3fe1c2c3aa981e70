"""What every contestant is given, what it returns, and the watch that times all of them alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter

from train_rivals.cases import CASES, Case


@dataclass(frozen=True, kw_only=True)
class Job:
    """One training: `warmup` steps that are not timed, then `steps` that are."""

    case: str
    warmup: int
    steps: int
    threads: int
    fused: bool
    start: str  # the .npz of the initial weights, for who cannot make the same from the seed

    @property
    def of(self) -> Case:
        """What is trained on what."""
        return CASES[self.case]

    @property
    def samples(self) -> int:
        """As many as make one epoch of all steps, so that no end of an epoch is timed."""
        return self.of.batch * (self.warmup + self.steps)


@dataclass(frozen=True, kw_only=True)
class Result:
    """What came of it; `start_loss` is that of the untrained model on the first batch, without dropout."""

    seconds: float
    parameters: int
    start_loss: float
    version: str


@dataclass
class Watch:
    """Seconds a step, from the end of the warm-up's last step to the end of the last of all."""

    job: Job
    done: int = 0
    stamps: list[float] = field(default_factory=list)

    def step(self, finish: Callable[[], object]) -> None:
        """After each optimizer step; `finish` waits until it has been computed, by reading a number of it."""
        self.done += 1
        if self.done in (self.job.warmup, self.job.warmup + self.job.steps):
            finish()
            self.stamps.append(perf_counter())

    @property
    def seconds(self) -> float:
        """The timed stretch over its steps."""
        first, last = self.stamps
        return (last - first) / self.job.steps
