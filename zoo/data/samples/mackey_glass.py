"""The Mackey-Glass equation: a chaotic series to forecast."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from zoo.data.dataset import Dataset
from zoo.specs import Problem, SeriesInput, SeriesOutput

BETA, GAMMA, DELAY, START = 0.2, 0.1, 17, 1.2
TRANSIENT = 1000  # time units until the start no longer shows
SIZES = {"train": 2000, "validation": 400, "test": 600}  # time units
HISTORY, HORIZON = 96, 24
SEASON = 50  # time units: the period at which the spectrum of the training part is highest


def load() -> Dataset:
    """3,000 values `[T, 1]`, one a time unit: 2,000 to train, then 400 to validate, then 600 to test."""
    values = solve(TRANSIENT + sum(SIZES.values()))[TRANSIENT:, None].astype(np.float32)
    parts = np.split(values, np.cumsum(list(SIZES.values()))[:-1])
    return Dataset(
        name="mackey-glass",
        problem=Problem(
            task="forecasting",
            input=SeriesInput(channels=1, length=HISTORY),
            output=SeriesOutput(channels=1, length=HORIZON),
            samples=SIZES["train"] - HISTORY - HORIZON + 1,
        ),
        splits={split: {"series": part} for split, part in zip(SIZES, parts, strict=True)},
        season=SEASON,
        license="Apache-2.0",
    )


def solve(count: int, steps: int = 10) -> NDArray[np.float64]:
    """Values at the times 0, 1, ..., `count` - 1, by `steps` steps of classical Runge-Kutta a time unit.

        dx/dt = 0.2 x(t - 17) / (1 + x(t - 17)^10) - 0.1 x(t),    x(t) = 1.2 for t <= 0

    The delayed x was reached by a step at both ends of this one; in the middle it comes from the
    cubic through the values and slopes at both ends (Hermite), of fourth order like the method itself.
    Source: Mackey & Glass, "Oscillation and chaos in physiological control systems", Science 197,
    1977; the parameters are those of most forecasting studies since.
    """
    step, lag = 1 / steps, DELAY * steps
    values = [START] * (lag + 1)  # where steps begin and end, from time -17 on
    middles = [START] * lag
    slope = _slope(START, START)
    for _ in range((count - 1) * steps):
        value, middle, end = values[-1], middles[-lag], values[-lag]  # the latter two: delayed
        second = _slope(value + step / 2 * slope, middle)
        third = _slope(value + step / 2 * second, middle)
        fourth = _slope(value + step * third, end)
        values.append(value + step / 6 * (slope + 2 * second + 2 * third + fourth))
        before, slope = slope, _slope(values[-1], end)
        middles.append((value + values[-1]) / 2 + step / 8 * (before - slope))
    return np.array(values[lag::steps])


def _slope(value: float, delayed: float) -> float:
    # The power is spelt out because libraries differ in its last bit, which chaos would not forgive.
    square = delayed * delayed
    fourth = square * square
    return BETA * delayed / (1 + fourth * fourth * square) - GAMMA * value
