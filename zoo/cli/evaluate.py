"""`zoo evaluate`: how good a model is on data."""

from __future__ import annotations

from typing import Any

import click

from zoo.cli.data import data_options, read_data, tell_reading
from zoo.cli.output import device_option, json_option, print_json, print_table
from zoo.outcome import unit_of
from zoo.units import format_metric


@click.command()
@click.argument("model")
@click.option("--data", metavar="DATA", help="A data set's name, a file or a folder; default: the run's own.")
@click.option(
    "--split", default="test", show_default=True, help="The split to judge on; 'all' where there are none."
)
@data_options
@device_option
@json_option
@click.pass_context
def evaluate(
    ctx: click.Context,
    /,
    model: str,
    data: str | None,
    split: str,
    device: str,
    as_json: bool,
    **reading: Any,
) -> None:
    """Judge MODEL, a name with a tag or a run folder, on DATA."""
    from zoo import api
    from zoo.registry import installed

    if data is None and any(reading.values()):
        raise click.UsageError("a run's own data is read as it was in training; say which other: --data DATA")
    dataset = read_data(data, judge=split, **reading) if data else api.data_of(model)
    if data:
        tell_reading(ctx, dataset)
    found = api.evaluate(model, dataset, split=split, device=api.pick_device(device))
    if not ctx.find_root().obj.get("quiet"):
        for note in found.notes:
            click.echo(f"data: {note}", err=True)
    if as_json:
        print_json(found.as_json())
        return
    primary = installed().task(found.task)
    rows = []
    for name, metric in found.metrics.items():
        unit = unit_of(name, primary)
        trivial = found.baseline.metrics.get(name)
        interval = f"[{format_metric(metric.low, unit)}, {format_metric(metric.high, unit)}]"
        rows.append(
            (
                name,
                format_metric(metric.value, unit),
                interval,
                format_metric(trivial, unit) if trivial is not None else "",
            )
        )
    print_table(("metric", "value", "80% interval", found.baseline.name), rows, right=("value",))
    click.echo(f"{found.model} on {found.samples:,} samples of {found.data} ({found.split})")
