"""What every way of training is given, what it returns, and the watch that times all of them alike."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter

EPOCHS = 4  # the first warms up, and compiles where that is asked for


@dataclass(frozen=True, kw_only=True)
class Job:
    """A network, its samples' `shape` (an image's `(C, H, W)`, a text's `(T,)`), and how it is trained.

    An epoch is `steps` long. `classes` is the vocabulary's size for a text; `dim`, `depth` and `heads` are
    those of a GPT.
    """

    model: str
    shape: tuple[int, ...]
    classes: int
    batch: int
    steps: int
    device: str
    compile: bool = False
    dim: int = 0
    depth: int = 0
    heads: int = 0

    @property
    def samples(self) -> int:
        """Those of an epoch."""
        return self.batch * self.steps


@dataclass(frozen=True, kw_only=True)
class Result:
    """Seconds a step, the most memory that tensors took on the GPU (0 on a CPU), and the network's size."""

    seconds: float
    peak_bytes: int
    parameters: int


@dataclass
class Watch:
    """Times epochs from the end of the first step to the end of the last: nothing between epochs counts."""

    epoch_steps: int
    done: int = 0
    began: float = 0.0
    stretches: list[float] = field(default_factory=list)

    def step(self, finish: Callable[[], object]) -> None:
        """After each step; `finish` waits until it has been computed."""
        place = self.done % self.epoch_steps
        self.done += 1
        if place == 0:
            finish()
            self.began = perf_counter()
        elif place == self.epoch_steps - 1:
            finish()
            self.stretches.append((perf_counter() - self.began) / place)

    @property
    def seconds(self) -> float:
        """A step's, in the median of the epochs after the first."""
        return statistics.median(self.stretches[1:])
