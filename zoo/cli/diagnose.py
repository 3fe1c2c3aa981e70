"""`zoo diagnose`: what is wrong with a run, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from zoo.cli.output import device_option, json_option, print_json, print_table, progress_console
from zoo.cli.running import Time
from zoo.errors import RunError
from zoo.histories import spark
from zoo.paths import told_of_new, write_new
from zoo.units import format_metric

if TYPE_CHECKING:
    from zoo.diagnosis import Diagnosis
    from zoo.diagnosis.sizes import LearningCurve

COLUMNS = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
BAR = 24  # characters of the best mean


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--learning-curve", "sizes", is_flag=True, help="Retrain on parts of the data: what would more bring?"
)
@click.option("--time-budget", type=Time(), metavar="TIME", help="For all these trainings: 90s, 5m.")
@click.option("--png", type=click.Path(path_type=Path), metavar="FILE", help="Draw the learning curve.")
@device_option
@json_option
@click.pass_context
def diagnose(
    ctx: click.Context,
    /,
    run: Path,
    sizes: bool,
    time_budget: float | None,
    png: Path | None,
    device: str,
    as_json: bool,
) -> None:
    """Say what may be wrong with RUN, by which figures, how surely, and what to do."""
    if not sizes and (time_budget or png):
        raise click.UsageError("--time-budget and --png are for --learning-curve")
    from zoo.runs import Run

    Run.open(run)  # what is wrong is told before torch is imported
    if sizes:
        _tell_sizes(ctx, run, time_budget, png, device, as_json)
        return
    from zoo import api
    from zoo.diagnosis import diagnose as ask

    found = ask(run, device=api.pick_device(device))
    if as_json:
        print_json(found.as_json())
        return
    if not ctx.find_root().obj.get("quiet"):
        for note in found.notes:
            click.echo(f"diagnose: {note}", err=True)
    _tell(found)


def _tell(found: Diagnosis) -> None:
    click.echo(f"{found.model} on {found.data}")
    if not found.findings:
        click.echo(f"nothing found; looked at: {', '.join(found.checks)}")
        return
    rows = [
        (str(number), advice.title, advice.sure, advice.reason, advice.remedy)
        for number, advice in enumerate(found.findings, 1)
    ]
    print_table(("", "finding", "sure", "seen", "what to do"), rows)
    click.echo()
    for number, advice in enumerate(found.findings, 1):
        click.echo(f"{number}  {advice.command}")


def _tell_sizes(
    ctx: click.Context, run: Path, seconds: float | None, png: Path | None, device: str, as_json: bool
) -> None:
    from zoo.diagnosis.picture import draw_learning_curve
    from zoo.diagnosis.sizes import FRACTIONS, ROUNDS, learning_curve

    if png is not None and png.exists():  # told before the trainings
        raise RunError(f"{str(png)!r} exists already; choose another file")
    with Progress(*COLUMNS, console=progress_console(ctx), transient=True) as bar:
        trainings = bar.add_task("trainings", total=len(FRACTIONS) * ROUNDS)
        curve = learning_curve(run, device=device, seconds=seconds, report=lambda *_: bar.advance(trainings))
    if png is not None:
        with told_of_new(png, another="file", error=RunError):
            write_new(png, draw_learning_curve(curve))
    if as_json:
        print_json(curve.as_json())
        return
    _tell_curve(curve)
    if png is not None:
        click.echo(f"{png}: the learning curve", err=True)


def _tell_curve(curve: LearningCurve) -> None:
    def written(value: float) -> str:
        return format_metric(value, curve.unit)

    means = [size.mean for size in curve.sizes]
    low, high = min(means), max(means)
    rows = [
        (
            f"{size.fraction:g}",
            f"{size.samples:,}",
            written(size.mean),
            ", ".join(map(written, size.values)),
            "█" * round(1 + (BAR - 1) * (size.mean - low) / ((high - low) or 1.0)),
        )
        for size in curve.sizes
    ]
    click.echo(f"{curve.model} on {curve.data}: test {curve.metric} by training samples, {spark(means)}")
    print_table(("part", "samples", "mean", "trainings", ""), rows, right=("part", "samples", "mean"))
    if curve.steps < curve.planned:
        click.echo(f"the time was enough for {curve.steps:,} of {curve.planned:,} steps at least", err=True)
    click.echo(_foreseen(curve, written))


def _foreseen(curve: LearningCurve, written: Callable[[float], str]) -> str:
    found = curve.forecast
    if found is None:
        return f"what twice the data would bring cannot be said: {curve.reason}"
    scale, unit = (100, " points") if curve.unit == "fraction" else (1, "")
    gains = [f"{scale * gain:.2g}{unit}" for gain in (found.gain, found.gain_low, found.gain_high)]
    return (
        f"twice the data, {found.samples:,} samples: {curve.metric} {written(found.value)} (80%: "
        f"{written(found.low)} to {written(found.high)}), better by {gains[0]} ({gains[1]} to {gains[2]})"
    )
