"""How far a training is in its schedule: by its steps, or by the clock where that is ahead."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

CLOSING_SECONDS = 2.0  # for what is written when all is evaluated, at least; a trial writes little
CLOSING_SHARE = 0.5  # of what starting took, by which one sees how fast the machine is
WARM_STEPS = 5  # from which on one sees how long a step takes


@dataclass
class Pace:
    """A schedule of `steps` steps of `batch` samples, which ends `limit` seconds after `started`.

    Steps for which there is no time are skipped evenly, so that the learning rate has run through the whole
    of its schedule when the time is over. `reserve` is what evaluating and saving will take at the end, in
    seconds; `closing` the least that is left for what is written then.
    """

    steps: int
    batch: int = 1
    limit: float | None = None
    skipped: int = 0
    reserve: float = 0.0
    closing: float = CLOSING_SECONDS
    started: float = field(default_factory=time.perf_counter)
    _begun: tuple[float, int, int] | None = None
    _warm: tuple[float, int] | None = None

    def begin(self, step: int) -> None:
        """The time of the schedule runs from now, after `step` steps."""
        self._begun = time.perf_counter(), step, step + self.skipped

    def foresee_end(self, step: int, samples: int) -> None:
        """Reserves what it may take to judge so many samples: half as long as to train on them.

        The first steps, which are slow, are not counted.
        """
        now = time.perf_counter()
        if self._warm is None:
            self._warm = now, step
        elif step - self._warm[1] >= WARM_STEPS:
            each = (now - self._warm[0]) / (step - self._warm[1]) / self.batch
            self.reserve = 0.5 * each * samples

    def hurry(self, step: int) -> int:
        """The steps that must have been skipped after `step` steps, so that all ends in time."""
        if self.limit is None or self._begun is None:
            return self.skipped
        (begun, first, place), now = self._begun, time.perf_counter()
        closing = max(self.closing, CLOSING_SHARE * (begun - self.started))
        end = self.started + self.limit - self.reserve - closing
        if now >= end:
            return max(self.skipped, self.steps - step)
        needed = (self.steps - self.position(step)) * (now - begun) / max(1, step - first)
        if needed <= end - now:
            return self.skipped
        due = place + int((now - begun) / (end - begun) * (self.steps - place))
        return max(self.skipped, due - step)

    def position(self, step: int) -> int:
        """Where in the schedule a training is after `step` steps."""
        return min(self.steps, step + self.skipped)

    def over(self, step: int) -> bool:
        """Whether the schedule ends with that step."""
        return step + self.skipped >= self.steps
