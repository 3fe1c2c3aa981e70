"""`zoo plugins new`: a plugin project to start from."""

from __future__ import annotations

from pathlib import Path

import click

from zoo.scaffold import new_plugin


@click.command()
@click.argument("name")
@click.option("--task", required=True, help="What its model solves, such as image-classification.")
@click.option("--output", type=click.Path(path_type=Path), help="The folder to write.  [default: zoo-NAME]")
@click.pass_context
def new(ctx: click.Context, name: str, task: str, output: Path | None) -> None:
    """Write a complete plugin project: one model, its recipe, tests, a CI file; ready to install."""
    project = new_plugin(name, task, output)
    if not ctx.find_root().obj.get("quiet"):
        click.echo(f"written: {project.folder}, {len(project.files)} files with the model {project.model}")
        click.echo("next, in that folder:")
        click.echo("  pip install -e . --group dev")
        click.echo(f"  zoo train {project.model} --data {project.data}")
        click.echo(f"  zoo plugins check {project.name}")
