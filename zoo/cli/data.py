"""`zoo data`: what is in a user's own data."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from zoo.cli.output import json_option, print_json, print_lines, print_table

if TYPE_CHECKING:
    from zoo.data.dataset import Dataset
    from zoo.data.inspection import Inspection

F = TypeVar("F", bound=Callable[..., Any])
CLASSES = 20  # that are listed; --json lists all


def data_options(command: F) -> F:
    """How data is to be read where guessing would be wrong."""
    for option in (
        click.option(
            "--horizon", type=click.IntRange(min=1), metavar="N", help="How many steps a forecast gives."
        ),
        click.option(
            "--history", type=click.IntRange(min=1), metavar="N", help="How many steps a forecast sees."
        ),
        click.option("--strict", is_flag=True, help="Refuse data with samples that cannot be used."),
        click.option("--group-by", metavar="COLUMN", help="Keep rows that share its value in one split."),
        click.option("--task", help="What the data is for, where it could be for several tasks."),
        click.option(
            "--columns", multiple=True, metavar="ROLE=COLUMN,...", help="Such as image=path,label=species."
        ),
    ):
        command = option(command)
    return command


def read_data(source: str, *, columns: tuple[str, ...] = (), **options: Any) -> Dataset:
    """The data set, read as the options say."""
    from zoo.data.load import load_dataset
    from zoo.data.roles import parse_columns

    return load_dataset(source, columns=parse_columns(columns), **options)


def tell_reading(ctx: click.Context, dataset: Dataset) -> None:
    """On stderr: what was guessed of the user's data, what was left out; nothing with `-q`."""
    reading = dataset.reading
    if reading is None or ctx.find_root().obj.get("quiet"):
        return
    for line in (f"{reading.kind}; split: {reading.split}", *reading.told):
        click.echo(f"data: {line}", err=True)
    for line in reading.warnings:
        click.echo(f"warning: {line}", err=True)


@click.group()
def data() -> None:
    """Look into data of your own."""


@data.command("inspect")
@click.argument("data", metavar="DATA")
@data_options
@json_option
def inspect_data(data: str, as_json: bool, **options: Any) -> None:
    """Show what is in DATA, a name, a file, a folder or hf://OWNER/NAME: task, classes, sizes, faults."""
    from zoo import api

    found = api.inspect(read_data(data, **options))
    if as_json:
        print_json(found.as_json())
    else:
        _report(found)


@data.command("gc")
@click.option("--keep", default="0", metavar="SIZE", help="How much may stay, such as 20GB.")
def collect_garbage(keep: str) -> None:
    """Remove what was made of data for the next time: rows, images, tokens; the longest unused first."""
    from zoo import settings
    from zoo.data import cache
    from zoo.units import format_bytes, parse_bytes

    removed = cache.trim(parse_bytes(keep))
    left = cache.entries()
    sizes = [format_bytes(sum(entry.bytes for entry in some)) for some in (removed, left)]
    click.echo(f"removed {len(removed):,} ({sizes[0]}); {len(left):,} ({sizes[1]}) stay in {settings.home()}")


def _report(found: Inspection) -> None:
    problem = found.problem
    print_lines(
        [
            ("data", f"{found.name} ({found.kind})"),
            ("task", problem.task),
            ("input", _shape(problem.input)),
            ("output", _shape(problem.output)),
            ("samples", ", ".join(f"{count:,} {split}" for split, count in found.sizes.items())),
            ("split", found.split),
            *((name, _spread(values)) for name, values in found.measures.items()),
            *(
                [("modes", ", ".join(f"{mode} {count:,}" for mode, count in found.modes.items()))]
                if found.modes
                else []
            ),
            *(
                (name, f"{kind.count:,} ({kind.share:.1%})" + _examples(kind.examples))
                for name, kind in found.findings.items()
            ),
            *(("note", line) for line in found.told),
            *(("warning", line) for line in found.warnings),
        ]
    )
    rows = [(name, *(f"{count:,}" for count in by.values())) for name, by in found.classes.items()]
    if rows:
        click.echo()
        print_table(("class", *found.sizes), rows[:CLASSES], right=tuple(found.sizes))
    if len(rows) > CLASSES:
        click.echo(f"and {len(rows) - CLASSES:,} more classes; --json lists them all")


def _shape(side: Any) -> str:
    from zoo.specs import as_dict

    told = {name: value for name, value in as_dict(side).items() if name != "names"}
    return ", ".join(f"{name} {value:,}" for name, value in told.items())


def _spread(values: tuple[float, float, float]) -> str:
    low, median, high = values
    return f"{low:,.5g} to {high:,.5g}, median {median:,.5g}"


def _examples(examples: tuple[str, ...]) -> str:
    return f": {'; '.join(examples)}" if examples else ""
