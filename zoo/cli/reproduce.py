"""`zoo weights reproduce`: one more training by a receipt, beside what the weights claim."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from zoo.cli.output import device_option, json_option, print_json, progress_console
from zoo.units import format_metric


@click.command()
@click.argument("name")
@click.option("--data", metavar="DATA", help="Where the data is, if the receipt's name is not known here.")
@click.option("--seed", type=click.IntRange(min=0), help="Another seed than the receipt's.")
@click.option("--output", type=click.Path(path_type=Path), help="The run's folder.")
@device_option
@json_option
@click.pass_context
def reproduce(
    ctx: click.Context,
    name: str,
    data: str | None,
    seed: int | None,
    output: Path | None,
    device: str,
    as_json: bool,
) -> None:
    """Train the weights NAME once more by their receipt, and compare with what they claim.

    The exit status is 1 where the result falls out of the band of trainings with other seeds.
    """
    from zoo.registry import installed
    from zoo.reproduction import reproduce as train_again
    from zoo.training.bar import ProgressBar

    bar = ProgressBar(progress_console(ctx))
    made = train_again(name, data=data, output=output, seed=seed, device=device, callbacks=[bar])
    if as_json:
        print_json({"schema": 1, **made.as_json()})
    else:
        unit = installed().task(made.run.record.problem.task).unit
        low, high = format_metric(made.low, unit), format_metric(made.high, unit)
        verdict = "reproduced" if made.holds else "NOT reproduced"
        found, claimed = format_metric(made.found, unit), format_metric(made.claimed, unit)
        click.echo(f"{made.weights}: {made.metric} {found} where {claimed} is claimed: {verdict}")
        click.echo(f"band  [{low}, {high}], for 95 of 100 trainings by {made.trainings} with different seeds")
        for package, (then, now) in made.changed.items():
            click.echo(f"note  trained with {package} {then}, here {now}")
        click.echo(f"run   {made.run.path}")
    if not made.holds:
        sys.exit(1)
