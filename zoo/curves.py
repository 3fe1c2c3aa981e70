"""A run's learning curves as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from zoo.figures import png, silence
from zoo.specs import TaskSpec

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

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
    with silence():
        return _draw(history, task, best_step, baseline, baseline_name)


def draw_together(histories: Mapping[str, Sequence[Mapping[str, Any]]], task: TaskSpec) -> bytes:
    """A PNG of the same curves of several runs, over each other; `histories` are their lines, by name."""
    with silence():
        figure, left, right = _axes()
        for number, (name, history) in enumerate(histories.items()):
            steps, color = [row["step"] for row in history], f"C{number}"
            _line(left, steps, [row["loss"] for row in history], "training loss", color=color, label=name)
            found = [row["validation"][task.metric] for row in history]
            _line(right, steps, found, _validation(task), color=color)
        _scale(left, [row["loss"] for history in histories.values() for row in history])
        left.legend(frameon=False, loc="upper right")
        return png(figure)


def _draw(
    history: Sequence[Mapping[str, Any]],
    task: TaskSpec,
    best_step: float | None,
    baseline: float | None,
    baseline_name: str,
) -> bytes:
    figure, left, right = _axes()
    steps = [row["step"] for row in history]
    losses = [row["loss"] for row in history]
    _line(left, steps, losses, "training loss")
    _scale(left, losses)
    found = [row["validation"][task.metric] for row in history]
    _line(right, steps, found, _validation(task))
    if best_step in steps:
        place = steps.index(best_step)
        right.plot(steps[place], found[place], "o", color="C1", label=f"best, at step {steps[place]:,}")
    if baseline is not None:
        right.axhline(baseline, color="0.5", linestyle="--", label=baseline_name or "baseline")
    if right.get_legend_handles_labels()[0]:
        right.legend(frameon=False, loc="center right")
    return png(figure)


def _axes() -> tuple[Figure, Axes, Axes]:
    from matplotlib.figure import Figure  # slow to import, and apart from pyplot, which keeps what it draws

    figure = Figure(figsize=(WIDTH, HEIGHT), dpi=DPI)
    left, right = figure.subplots(1, 2)
    # a layout engine, which would find these margins, takes five times as long
    figure.subplots_adjust(left=0.07, right=0.98, bottom=0.16, top=0.9)
    return figure, left, right


def _scale(axes: Axes, losses: Sequence[float]) -> None:
    """A logarithmic scale where the losses are far apart."""
    from matplotlib.ticker import LogLocator  # slow to import

    if min(losses, default=0.0) > 0 and max(losses) > DECADE * min(losses):
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter("")


def _validation(task: TaskSpec) -> str:
    return f"validation {task.metric.replace('_', ' ')}"


def _line(
    axes: Axes,
    steps: Sequence[int],
    values: Sequence[float],
    title: str,
    *,
    color: str = "C0",
    label: str | None = None,
) -> None:
    axes.plot(steps, values, color=color, marker="." if len(steps) < 30 else None, label=label)
    axes.set_title(title, fontsize="medium")
    axes.set_xlabel("step")
    axes.grid(visible=True, alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
