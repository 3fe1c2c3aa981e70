"""Forecasts step by step: how the error grows with the distance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor


class StepError(NamedTuple):
    """The error of all forecasts at one step, counted from 1, as `mase` and `mae` count it."""

    step: int
    mase: float
    mae: float


def steps_of(details: Mapping[str, Tensor], scale: float) -> tuple[StepError, ...]:
    """The mean of absolute `errors` `[N, H]` at each step, measured against `scale`; none without errors."""
    if "errors" not in details:
        return ()
    means = details["errors"].double().mean(dim=0).tolist()
    return tuple(StepError(step, mean / scale, mean) for step, mean in enumerate(means, start=1))
