"""`zoo datasets`: the data sets usable by name."""

from __future__ import annotations

from pathlib import Path

import click

from zoo.cli.output import json_option, print_json, print_table
from zoo.registry import installed
from zoo.specs import DatasetSpec, to_builtins


@click.group(invoke_without_command=True)
@json_option
@click.pass_context
def datasets(ctx: click.Context, as_json: bool) -> None:
    """List the data sets usable as --data NAME, or take a sample out of one."""
    if ctx.invoked_subcommand is not None:
        return
    found = installed().datasets.values()
    if as_json:
        print_json({"schema": 1, "datasets": [to_builtins(spec) for spec in found]})
        return
    rows = [(spec.name, spec.problem.task, _samples(spec), spec.license, spec.summary) for spec in found]
    print_table(("name", "task", "training samples", "license", "summary"), rows, right=("training samples",))


@datasets.command("list")
@json_option
@click.pass_context
def list_datasets(ctx: click.Context, as_json: bool) -> None:
    """List the data sets usable as --data NAME."""
    ctx.invoke(datasets, as_json=as_json)


@datasets.command()
@click.argument("data")
@click.option("--split", default="test", show_default=True)
@click.option("--index", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--output", type=click.Path(path_type=Path), required=True, help="The file to write.")
def sample(data: str, split: str, index: int, output: Path) -> None:
    """Write one sample of DATA to a file, for example to predict from it."""
    from zoo.data.load import load_dataset
    from zoo.data.sample import write_sample

    click.echo(write_sample(load_dataset(data), split, index, output))


def _samples(spec: DatasetSpec) -> str:
    return f"{spec.problem.samples:,}" if spec.problem.samples else "depends"
