"""`zoo weights pack`: a run's weights as a pip project."""

from __future__ import annotations

from pathlib import Path

import click

LICENSE = "Apache-2.0"


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--name", required=True, help="The plugin's name; the project is called zoo-NAME.")
@click.option("--tag", required=True, help="What the weights are called: plugin/model.TAG.")
@click.option("--license", default=LICENSE, show_default=True, help="Of the weights.")
@click.option("--data-license", help="Of the data, where the run does not know it.")
@click.option("--output", type=click.Path(path_type=Path), help="The new folder.  [default: zoo-NAME]")
def pack(run: Path, output: Path | None, name: str, tag: str, license: str, data_license: str | None) -> None:
    """Write a pip project that brings the weights of a finished RUN."""
    from zoo.publishing import pack_weights
    from zoo.runs import Run

    folder = output or Path(f"zoo-{name.replace('_', '-')}")
    spec = pack_weights(Run.open(run), folder, name=name, tag=tag, license=license, data_license=data_license)
    click.echo(f"{spec.name}: {spec.bytes:,} bytes in {folder}")
    click.echo(f"install it with: pip install {folder}")
