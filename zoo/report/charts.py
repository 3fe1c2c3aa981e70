"""Lines and small series as coordinates for inline SVG: numbers in, places out."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 420.0, 230.0  # of a chart, in the units of its view box
LEFT, RIGHT, TOP, BOTTOM = 52.0, 10.0, 10.0, 30.0  # margins
SMALL_WIDTH, SMALL_HEIGHT = 160.0, 90.0  # of a sample's series
TICKS = 5  # at most, but for what rounds them
DECADE = 20.0  # times between the largest and the smallest value from which the scale is logarithmic


@dataclass(frozen=True)
class Tick:
    """A place on an axis, and what is written there."""

    place: float
    label: str


@dataclass(frozen=True)
class Line:
    """A line's points, as SVG writes them; `name` is its class in the style sheet."""

    points: str
    name: str
    label: str = ""


@dataclass(frozen=True)
class Chart:
    """A chart of `title`: its lines, its axes' ticks, and in words what it shows."""

    title: str
    lines: tuple[Line, ...]
    across: tuple[Tick, ...]
    up: tuple[Tick, ...]
    told: str
    width: float = WIDTH
    height: float = HEIGHT
    left: float = LEFT
    right: float = WIDTH - RIGHT
    top: float = TOP
    bottom: float = HEIGHT - BOTTOM


def chart(
    title: str,
    steps: Sequence[float],
    values: Sequence[float],
    *,
    written: Callable[[float], str],
    level: float | None = None,
    level_label: str = "",
) -> Chart:
    """`values` by `steps`, and a dashed line at `level`, such as what a trivial predictor reaches."""
    shown = [*values, *([] if level is None else [level])]
    logarithmic = min(shown) > 0 and max(shown) > DECADE * min(shown)
    scale = math.log10 if logarithmic else float
    low, high = _widened(min(map(scale, shown)), max(map(scale, shown)))
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    across = _between(min(steps), max(steps), LEFT, right)

    def up(value: float) -> float:
        return _between(low, high, bottom, TOP)(scale(value))

    lines = [Line(_points(map(across, steps), map(up, values)), "course", title)]
    if level is not None:
        lines.append(Line(_points((LEFT, right), (up(level),) * 2), "level", level_label))
    back = (lambda place: 10**place) if logarithmic else float
    return Chart(
        title=title,
        lines=tuple(lines),
        across=tuple(Tick(across(step), f"{step:,.0f}") for step in _ticks(min(steps), max(steps))),
        up=tuple(Tick(up(back(place)), written(back(place))) for place in _ticks(low, high)),
        told=f"{title}: from {written(values[0])} to {written(values[-1])} in {steps[-1]:,.0f} steps",
    )


def small(parts: Mapping[str, tuple[Sequence[float], Sequence[float]]], told: str) -> Chart:
    """A sample's series without axes: for each class of line its steps and its values."""
    steps = [step for each, _ in parts.values() for step in each]
    values = [value for _, each in parts.values() for value in each]
    across = _between(min(steps), max(steps), 2.0, SMALL_WIDTH - 2)
    up = _between(*_widened(min(values), max(values)), SMALL_HEIGHT - 2, 2.0)
    lines = [Line(_points(map(across, each), map(up, those)), name) for name, (each, those) in parts.items()]
    return Chart("", tuple(lines), (), (), told, width=SMALL_WIDTH, height=SMALL_HEIGHT)


def _between(low: float, high: float, first: float, last: float) -> Callable[[float], float]:
    """Values from `low` to `high` as places from `first` to `last`."""
    span = (high - low) or 1.0
    return lambda value: first + (value - low) / span * (last - first)


def _widened(low: float, high: float) -> tuple[float, float]:
    room = 0.05 * (high - low) or 0.1 * abs(high) or 0.1
    return (max(0.0, low - room) if low >= 0 else low - room), high + room


def _ticks(low: float, high: float) -> list[float]:
    from matplotlib.ticker import MaxNLocator  # slow to import

    found = MaxNLocator(TICKS, steps=[1, 2, 5, 10]).tick_values(low, high)
    return [float(place) for place in found if low <= place <= high]


def _points(across: object, up: object) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(across, up, strict=True))  # type: ignore[call-overload]
