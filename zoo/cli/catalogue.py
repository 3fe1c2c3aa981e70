"""`zoo catalogue`: everything installed as a web page."""

from __future__ import annotations

from pathlib import Path

import click

from zoo.cli.output import json_option, print_json, progress_console
from zoo.registry import installed
from zoo.units import format_bytes


@click.group()
def catalogue() -> None:
    """Everything installed as a web page that opens without a server."""


@catalogue.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--no-answers", is_flag=True, help="Leave out the recommender's form; much quicker.")
@json_option
@click.pass_context
def build(ctx: click.Context, folder: Path, no_answers: bool, as_json: bool) -> None:
    """Write the page into DIR, a new or empty folder or an earlier catalogue: then open DIR/index.html."""
    from rich.progress import Progress

    from zoo.catalogue import Grid, build_catalogue
    from zoo.catalogue.build import INDEX

    console = progress_console(ctx)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("recommendations", total=None, visible=not no_answers)
        made = build_catalogue(
            installed(),
            folder,
            grid=None if no_answers else Grid(),
            progress=lambda done, of: bar.update(task, completed=done, total=of),
        )
    page = made.folder / INDEX
    if as_json:
        record = {"page": str(page), "models": made.models, "weights": made.weights, "bytes": made.bytes}
        print_json({"schema": 1, **record})
        return
    click.echo(f"{page}: {made.models:,} models, {made.weights:,} weights ({format_bytes(made.bytes)})")
