"""`zoo plugins`: which plugins are installed, and which of them work."""

from __future__ import annotations

import click

from zoo.cli.output import json_option, print_json, print_table
from zoo.errors import unknown
from zoo.registry import discover, installed
from zoo.settings import set_disabled


@click.group(invoke_without_command=True)
@json_option
@click.pass_context
def plugins(ctx: click.Context, as_json: bool) -> None:
    """List the installed plugins, with the reason and the mend for those that do not work."""
    if ctx.invoked_subcommand is None:
        _list(as_json)


@plugins.command()
@click.argument("name")
def disable(name: str) -> None:
    """Leave a plugin out from now on, without importing it."""
    _known(name)
    set_disabled(name, True)
    click.echo(f"{name} is left out; take it back with: zoo plugins enable {name}")


@plugins.command()
@click.argument("name")
def enable(name: str) -> None:
    """Take a disabled plugin back."""
    _known(name)
    set_disabled(name, False)
    click.echo(f"{name} is used again")


def _known(name: str) -> None:
    """Raises `UnknownNameError` unless such a plugin is installed, whatever its state; imports none."""
    names = sorted({plugin.name for plugin in discover()})
    if name not in names:
        raise unknown("plugin", name, names)


def _list(as_json: bool) -> None:
    registry = installed()
    counts: dict[str, int] = {}
    for model in registry.models.values():
        counts[model.plugin.name] = counts.get(model.plugin.name, 0) + 1
    found = [
        {
            "name": plugin.name,
            "distribution": plugin.distribution,
            "version": plugin.version,
            "state": plugin.state,
            "reason": plugin.reason,
            "mend": plugin.mend,
            "models": counts.get(plugin.name, 0),
            "load_seconds": round(plugin.load_seconds, 4),
        }
        for plugin in registry.plugins.values()
    ]
    if as_json:
        print_json({"schema": 1, "plugins": found})
        return
    rows = [
        (
            str(row["name"]),
            f"{row['distribution']} {row['version']}",
            str(row["state"]),
            f"{row['models']:,}",
            f"{1000 * float(str(row['load_seconds'])):.0f} ms",
            " -> ".join(str(part) for part in (row["reason"], row["mend"]) if part),
        )
        for row in found
    ]
    columns = ("plugin", "distribution", "state", "models", "loaded in", "why, and what to do")
    print_table(columns, rows, right=("models", "loaded in"))
