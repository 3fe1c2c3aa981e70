"""How far a training is in its schedule: by its steps, or by the clock where that is ahead."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

MARGIN = 0.02  # of the limit, for what is written at the end


@dataclass
class Pace:
    """A schedule of `steps` steps, which ends after `limit` seconds whatever the speed.

    Steps for which there is no time are skipped evenly, so that the learning rate has run through the whole
    of its schedule when the time is over. `reserve` is what evaluating and saving will take at the end, in
    seconds.
    """

    steps: int
    limit: float | None = None
    skipped: int = 0
    reserve: float = 0.0
    started: float = field(default_factory=time.perf_counter)
    _from: int | None = None

    def hurry(self, step: int) -> int:
        """The steps that must have been skipped after `step` steps, so that all ends in time."""
        if self.limit is None:
            return self.skipped
        if self._from is None:
            self._from = step + self.skipped
        time_left = self.limit * (1 - MARGIN) - self.reserve
        share = min(1.0, (time.perf_counter() - self.started) / max(time_left, 1e-9))
        due = self._from + int(share * (self.steps - self._from))
        return max(self.skipped, due - step)

    def position(self, step: int) -> int:
        """Where in the schedule a training is after `step` steps."""
        return min(self.steps, step + self.skipped)

    def over(self, step: int) -> bool:
        """Whether the schedule ends with that step."""
        return step + self.skipped >= self.steps
