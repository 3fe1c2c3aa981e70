"""`zoo weights push`: a run onto the hub."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("repository", metavar="OWNER/NAME")
@click.option("--private", is_flag=True, help="If the repository is new: not for everybody to see.")
@click.option("--message", help="Of the commit.")
def push(run: Path, repository: str, private: bool, message: str | None) -> None:
    """Commit a finished RUN to the Hugging Face hub, from where everybody's zoo.load takes it."""
    from zoo.pushing import push_weights
    from zoo.runs import Run

    uri = push_weights(Run.open(run), repository, private=private, message=message)
    click.echo(f"pushed {run}")
    click.echo(f"load it with: zoo.load({uri!r})")
