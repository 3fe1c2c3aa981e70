"""What time and size count against a better score."""

from __future__ import annotations

import math

import msgspec

from zoo.recommender.cost import Cost
from zoo.recommender.facts import Load

HOUR = 3600.0


class Weight(msgspec.Struct, frozen=True, kw_only=True):
    """What a model must gain, on the scale of scores, to be ten times as dear.

    `time`: for ten times the seconds; `beyond_hour`: as much again where they are more than an hour;
    `size`: for ten times the parameters.
    """

    time: float = 0.0
    beyond_hour: float = 0.0
    size: float = 0.0

    def scaled(self, share: float) -> Weight:
        """The same for a scale that is so much finer."""
        return Weight(time=share * self.time, beyond_hour=share * self.beyond_hour, size=share * self.size)

    def price(self, seconds: Cost | None, load: Load | None) -> float:
        """What a training's time and a model's size count."""
        price = 0.0
        if seconds is not None and self.time:
            price += self.time * math.log10(seconds.value)
            price += self.beyond_hour * math.log10(max(1.0, seconds.value / HOUR))
        if load is not None and self.size:
            price += self.size * math.log10(max(1, load.parameters))
        return price

    def describe(self, of: str) -> str:
        """What it asks for, such as: ten times the training time must save 10% of the errors."""
        if self.size:
            return f"ten times the parameters must save {_saved(self.size)} of the {of}"
        more = f", beyond an hour {_saved(self.time + self.beyond_hour)}" if self.beyond_hour else ""
        return f"ten times the training time must save {_saved(self.time)} of the {of}{more}"


def _saved(gain: float) -> str:
    return f"{1 - math.exp(-gain):.0%}"
