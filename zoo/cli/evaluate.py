"""`zoo evaluate`: how good a model is on data."""

from __future__ import annotations

import click

from zoo.cli.output import device_option, json_option, print_json, print_table, score


@click.command()
@click.argument("model")
@click.option("--data", metavar="DATA", help="A data set's name, a file or a folder; default: the run's own.")
@click.option("--split", default="test", show_default=True, help="The split to judge on.")
@device_option
@json_option
def evaluate(model: str, data: str | None, split: str, device: str, as_json: bool) -> None:
    """Judge MODEL, a name with a tag or a run folder, on DATA."""
    from zoo import api
    from zoo.registry import installed

    found = api.evaluate(model, data or api.data_of(model), split=split, device=api.pick_device(device))
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
    return "fraction" if name.endswith(("accuracy", "match")) else "number"
