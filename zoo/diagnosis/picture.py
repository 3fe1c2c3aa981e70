"""A learning curve over data size as a picture."""

from __future__ import annotations

from zoo.diagnosis.sizes import LearningCurve
from zoo.figures import png, silence

WIDTH, HEIGHT, DPI = 6.4, 3.6, 110  # inches, and pixels for each


def draw_learning_curve(curve: LearningCurve) -> bytes:
    """A PNG of the metric by training samples: every training, their means, and twice the data foreseen."""
    from matplotlib.figure import Figure  # slow to import

    with silence():
        figure = Figure(figsize=(WIDTH, HEIGHT), dpi=DPI)
        axes = figure.subplots()
        figure.subplots_adjust(left=0.12, right=0.97, bottom=0.15, top=0.9)
        sizes = [size.samples for size in curve.sizes]
        for size in curve.sizes:
            axes.plot([size.samples] * len(size.values), size.values, ".", color="C0", alpha=0.5)
        axes.plot(sizes, [size.mean for size in curve.sizes], "o-", color="C0", label="mean of trainings")
        if (foreseen := curve.forecast) is not None:
            ends = [[foreseen.value - foreseen.low], [foreseen.high - foreseen.value]]
            label = "twice the data, 80% interval"
            axes.errorbar(foreseen.samples, foreseen.value, ends, fmt="s", color="C1", capsize=4, label=label)
            sizes.append(foreseen.samples)
        axes.set_xscale("log", base=2)
        axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
        axes.minorticks_off()
        axes.set_xlabel("training samples")
        axes.set_title(
            f"test {curve.metric.replace('_', ' ')} of {curve.model} on {curve.data}", fontsize="medium"
        )
        axes.grid(visible=True, alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, loc="best")
        return png(figure)
