"""`zoo evaluate`: how good a model is on data."""

from __future__ import annotations

from typing import Any

import click

from zoo.cli.data import data_options, read_data, tell_reading
from zoo.cli.output import device_option, json_option, print_json, print_table, score


@click.command()
@click.argument("model")
@click.option("--data", metavar="DATA", help="A data set's name, a file or a folder; default: the run's own.")
@click.option("--split", default="test", show_default=True, help="The split to judge on.")
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
    dataset = read_data(data, **reading) if data else api.data_of(model)
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
        unit = primary.unit if name == primary.metric else _unit(name)
        trivial = found.baseline.metrics.get(name)
        interval = f"[{score(metric.low, unit)}, {score(metric.high, unit)}]"
        rows.append(
            (name, score(metric.value, unit), interval, score(trivial, unit) if trivial is not None else "")
        )
    print_table(("metric", "value", "80% interval", found.baseline.name), rows, right=("value",))
    click.echo(f"{found.model} on {found.samples:,} samples of {found.data} ({found.split})")


def _unit(name: str) -> str:
    return "fraction" if name.endswith(("accuracy", "match", "f1")) else "number"
