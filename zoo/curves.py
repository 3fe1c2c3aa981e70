"""A run's learning curves as a picture."""

from __future__ import annotations

import io
import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from zoo.specs import TaskSpec

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH, HEIGHT, DPI = 9.0, 3.2, 110  # inches, and pixels for each: twice what a card shows, for fine screens
DECADE = 20.0  # times between a loss's largest and smallest from which its scale is logarithmic


def draw_curves(
    history: Sequence[Mapping[str, Any]],
    task: TaskSpec,
    *,
    best_step: float | None = None,
    baseline: float | None = None,
    baseline_name: str = "",
) -> bytes:
    """A PNG of the training loss and of the primary metric on the validation split, by steps.

    `history` holds the lines of `metrics.jsonl`; `baseline` is what the trivial predictor reaches.
    """
    logger = logging.getLogger("matplotlib")  # which says on stderr that it looks for fonts
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        return _draw(history, task, best_step, baseline, baseline_name)
    finally:
        logger.setLevel(level)


def _draw(
    history: Sequence[Mapping[str, Any]],
    task: TaskSpec,
    best_step: float | None,
    baseline: float | None,
    baseline_name: str,
) -> bytes:
    from matplotlib.figure import Figure  # slow to import, and apart from pyplot, which keeps what it draws
    from matplotlib.ticker import LogLocator

    figure = Figure(figsize=(WIDTH, HEIGHT), dpi=DPI)
    left, right = figure.subplots(1, 2)
    # a layout engine, which would find these margins, takes five times as long
    figure.subplots_adjust(left=0.07, right=0.98, bottom=0.16, top=0.9)
    steps = [row["step"] for row in history]
    losses = [row["loss"] for row in history]
    _line(left, steps, losses, "training loss")
    if min(losses, default=0.0) > 0 and max(losses) > DECADE * min(losses):
        left.set_yscale("log")
        left.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        left.yaxis.set_major_formatter("{x:g}")
        left.yaxis.set_minor_formatter("")
    found = [row["validation"][task.metric] for row in history]
    _line(right, steps, found, f"validation {task.metric.replace('_', ' ')}")
    if best_step in steps:
        place = steps.index(best_step)
        right.plot(steps[place], found[place], "o", color="C1", label=f"best, at step {steps[place]:,}")
    if baseline is not None:
        right.axhline(baseline, color="0.5", linestyle="--", label=baseline_name or "baseline")
    if right.get_legend_handles_labels()[0]:
        right.legend(frameon=False, loc="center right")
    picture = io.BytesIO()
    # without the version of matplotlib the same run is the same file
    figure.savefig(picture, format="png", metadata={"Software": None})
    return picture.getvalue()


def _line(axes: Axes, steps: Sequence[int], values: Sequence[float], title: str) -> None:
    axes.plot(steps, values, color="C0", marker="." if len(steps) < 30 else None)
    axes.set_title(title, fontsize="medium")
    axes.set_xlabel("step")
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
