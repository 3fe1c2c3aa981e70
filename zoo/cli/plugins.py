"""`zoo plugins`: which plugins are installed, and which of them work."""

from __future__ import annotations

import click

from zoo.cli.output import json_option, print_json, print_table
from zoo.registry import installed


@click.command()
@json_option
def plugins(as_json: bool) -> None:
    """List the installed plugins, with the reason and the mend for those that do not work."""
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
