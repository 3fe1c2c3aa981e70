"""`zoo plugins`: which plugins are installed, which of them work; installing, removing, looking at them.

Everything but `check` works whatever the state of the installed plugins: only `list` and `doctor` load them,
and these set aside what is broken even under ZOO_STRICT=1.
"""

from __future__ import annotations

import sys
from typing import Any

import click

from zoo import environment
from zoo.cli import LazyGroup
from zoo.cli.output import json_option, print_json, print_table
from zoo.errors import PluginError, ZooError
from zoo.plugins import Plugin, discover, unknown_selection
from zoo.registry import Registry
from zoo.settings import set_disabled

COMMANDS = {
    "list": "plugins:list_plugins",
    "install": "plugins:install",
    "uninstall": "plugins:uninstall",
    "enable": "plugins:enable",
    "disable": "plugins:disable",
    "doctor": "plugins:doctor",
    "new": "scaffold:new",
    "check": "check:check",
}
SHOWN = 20  # models of a new plugin that are named


@click.group(cls=LazyGroup, commands_at=COMMANDS, invoke_without_command=True)
@json_option
@click.pass_context
def plugins(ctx: click.Context, as_json: bool) -> None:
    """List the installed plugins, install others, find out what is wrong with them."""
    if ctx.invoked_subcommand is None:
        _list(as_json)


@click.command("list")
@json_option
def list_plugins(as_json: bool) -> None:
    """List the installed plugins, with the reason and the mend for those that do not work."""
    _list(as_json)


@click.command()
@click.argument("specs", nargs=-1, required=True, metavar="SPEC...")
@click.option("-U", "--upgrade", is_flag=True, help="Take a newer version where one is installed.")
@click.option("-e", "--editable", is_flag=True, help="Use a folder as it is, without copying it.")
@click.option("--no-deps", is_flag=True, help="Install nothing that the plugin requires.")
def install(specs: tuple[str, ...], upgrade: bool, editable: bool, no_deps: bool) -> None:
    """Install plugins with this environment's pip. SPEC is a name, a folder, a wheel or a URL."""
    flags = {"--upgrade": upgrade, "--no-deps": no_deps, "--editable": editable}
    new = environment.install(specs, options=[flag for flag, given in flags.items() if given])
    if not new:
        click.echo("no plugin is new: what was installed brings none, or was there already")
        return
    broken = [plugin for plugin in _ask_for_plugins(new) if not _introduce(plugin)]
    if broken:
        first = broken[0]
        raise PluginError(
            first["name"], f"installed, but {first['state']}: {first['reason']}; {first['mend']}"
        )


@click.command()
@click.argument("name")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def uninstall(name: str, yes: bool) -> None:
    """Remove a plugin with this environment's pip. NAME is the plugin's, or its distribution's."""
    if environment.is_core(name):
        raise ZooError(f"{name!r} is zoo itself, and no plugin; remove it with: pip uninstall {name}")
    plugin = environment.find_installed(name)
    gone = ", ".join(environment.brought_by(plugin.distribution))
    if not yes and not _confirm(f"Remove {plugin.origin}, which brings {gone}?"):
        click.echo("nothing was removed")
        return
    environment.uninstall(plugin.distribution)
    click.echo(f"{plugin.origin} is removed, and {gone} with it")


@click.command()
@click.argument("name")
def disable(name: str) -> None:
    """Leave a plugin out from now on, without importing it."""
    set_disabled(environment.known_plugin(name), True)
    click.echo(f"{name} is left out; take it back with: zoo plugins enable {name}")


@click.command()
@click.argument("name")
def enable(name: str) -> None:
    """Take a disabled plugin back."""
    set_disabled(environment.known_plugin(name), False)
    click.echo(f"{name} is used again")


@click.command()
@click.argument("name", required=False)
@json_option
def doctor(name: str | None, as_json: bool) -> None:
    """Look at all that can be seen of plugins without training.

    The exit status is 1 where something is wrong.
    """
    from zoo.doctor import diagnose

    registry = Registry(discover(), report=lambda line: None, strict=False)
    if name is not None and name not in registry.plugins:
        name = environment.find_installed(name).name
    wanted = [registry.plugins[name]] if name else [*registry.plugins.values()]
    found = [diagnose(registry, plugin) for plugin in wanted]
    if as_json:
        print_json({"schema": 1, "plugins": [diagnosis.as_json() for diagnosis in found]})
    else:
        for diagnosis in found:
            click.echo("\n".join(diagnosis.lines()))
    if any(diagnosis.faults for diagnosis in found):
        sys.exit(1)


def _list(as_json: bool) -> None:
    """Every plugin with its state; loads them all, and never fails because of one."""
    found = discover()
    for fault in unknown_selection(found):
        click.echo(f"zoo: {fault}", err=True)
    registry = Registry(found, strict=False)
    registry.check_tasks()
    counts = dict.fromkeys(registry.plugins, 0)
    for model in registry.models.values():
        counts[model.plugin.name] += 1
    rows = [_record(plugin, counts[plugin.name]) for plugin in registry.plugins.values()]
    if as_json:
        print_json({"schema": 1, "plugins": rows})
        return
    columns = ("plugin", "distribution", "state", "models", "loaded in", "why, and what to do")
    print_table(columns, [_row(row) for row in rows], right=("models", "loaded in"))


def _record(plugin: Plugin, models: int) -> dict[str, Any]:
    return {
        "name": plugin.name,
        "distribution": plugin.distribution,
        "version": plugin.version,
        "state": plugin.state,
        "reason": plugin.reason,
        "mend": plugin.mend,
        "models": models,
        "load_seconds": round(plugin.load_seconds, 4),
        "remarks": plugin.remarks,
    }


def _row(row: dict[str, Any]) -> tuple[str, ...]:
    why = " -> ".join(part for part in (row["reason"], row["mend"]) if part)
    return (
        row["name"],
        f"{row['distribution']} {row['version']}",
        row["state"],
        f"{row['models']:,}",
        f"{1000 * row['load_seconds']:,.0f} ms",
        "; ".join(part for part in (why, *row["remarks"]) if part),
    )


def _ask_for_plugins(names: list[str]) -> list[dict[str, Any]]:
    """The plugins of those names, as a fresh process sees them."""
    rows: list[dict[str, Any]] = environment.ask_zoo("plugins", "list")["plugins"]
    return [row for row in rows if row["name"] in names]


def _introduce(plugin: dict[str, Any]) -> bool:
    """Says what a new plugin brings; whether it can be used."""
    if plugin["state"] != "active":
        return False
    click.echo(
        f"{plugin['name']} ({plugin['distribution']} {plugin['version']}): {plugin['models']:,} models"
    )
    models = environment.ask_zoo("list", f"{plugin['name']}/*")["models"]
    for model in models[:SHOWN]:
        tags = ", ".join(weights["tag"] for weights in model["weights"])
        click.echo(f"  {model['name']}" + (f" ({tags})" if tags else ""))
    if len(models) > SHOWN:
        click.echo(f"  and {len(models) - SHOWN:,} more: zoo list '{plugin['name']}/*'")
    for remark in plugin["remarks"]:
        click.echo(f"  it {remark}")
    return True


def _confirm(question: str) -> bool:
    try:
        return click.confirm(question, err=True)
    except click.Abort:
        if sys.stdin.isatty():  # Ctrl-C
            raise
        raise ZooError("nobody is there to be asked; say --yes") from None
