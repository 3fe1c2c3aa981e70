"""`zoo weights`: what there is, whether the files are what they should be, and how to pass them on."""

from __future__ import annotations

import os

import click

from zoo.cli import LazyGroup
from zoo.cli.output import json_option, print_json, print_table
from zoo.errors import WeightsError
from zoo.registry import installed, iterate_weights
from zoo.specs import to_builtins
from zoo.units import format_bytes

COMMANDS = {
    "list": "weights:list_weights",
    "get": "weights:get",
    "verify": "weights:verify",
    "gc": "weights:gc",
    "pack": "pack:pack",
    "push": "push:push",
    "reproduce": "reproduce:reproduce",
}


@click.group(cls=LazyGroup, commands_at=COMMANDS)
def weights() -> None:
    """List, fetch, verify and pass on weights."""


@click.command("list")
@click.argument("pattern", default="*")
@json_option
def list_weights(pattern: str, as_json: bool) -> None:
    """List weights. PATTERN is a glob over models' names."""
    models = installed().list_models(pattern, pretrained=True)
    found = [spec for model in models for spec in model.weights]
    if as_json:
        print_json({"schema": 1, "weights": [{"name": spec.name, **to_builtins(spec)} for spec in found]})
        return
    rows = [
        (
            spec.name,
            format_bytes(spec.bytes) if spec.bytes else "",
            spec.license,
            spec.dataset,
            ", ".join(f"{name} {value:.4g}" for name, value in spec.metrics.items()),
        )
        for spec in found
    ]
    print_table(("weights", "size", "license", "trained on", "metrics"), rows, right=("size",))


@click.command()
@click.argument("names", nargs=-1)
@click.option("--all", "every", is_flag=True, help="Every set whose file comes in an installed package.")
def verify(names: tuple[str, ...], every: bool) -> None:
    """Check the sha256 of weights, load them, and compare the model's answers with their record."""
    from zoo import api

    if every:
        names = tuple(
            spec.name for _, spec in iterate_weights(installed()) if spec.sources[0].startswith("package://")
        )
    if not names:
        raise click.UsageError("say which weights, or --all")
    failed = 0
    for name in names:
        try:
            api.load(name, verify=True)
        except WeightsError as error:
            failed += 1
            click.echo(f"{name}: {error}", err=True)
        else:
            click.echo(f"{name}: sha256 and golden output as recorded")
    if failed:
        raise WeightsError(f"{failed} of {len(names)} sets of weights are not what their record says")


@click.command()
@click.argument("names", nargs=-1, required=True)
@click.option("--yes", is_flag=True, help="Fetch large files without a question.")
def get(names: tuple[str, ...], yes: bool) -> None:
    """Fetch weights into the cache, check them, and print where they are.

    NAMES are of weights, such as cnn/lenet5.digits, or source URIs such as hf://owner/repo/file.
    """
    from zoo.weights import sources

    if yes:
        os.environ["ZOO_ASK"] = "0"
    for name in names:
        path = sources.fetch(name) if ":" in name else sources.fetch_weights(installed().tagged(name)[1])
        click.echo(path)


@click.command()
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
def gc(dry_run: bool) -> None:
    """Remove what nothing needs from the zoo's own cache: parts, false files, those of no installed weights.

    The cache of huggingface_hub has a command of its own: hf cache.
    """
    from zoo.weights import cache, sources

    found = cache.leftovers(sources.cached_files(installed().weights))
    for leftover in found:
        if not dry_run:
            cache.remove(leftover)
        click.echo(f"{leftover.path} ({leftover.reason}): {leftover.bytes:,} bytes")
    total = sum(leftover.bytes for leftover in found)
    click.echo(f"{total:,} bytes {'would be' if dry_run else 'were'} freed")
