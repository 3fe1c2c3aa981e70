"""The `zoo` command: one module for each subcommand, none of which imports torch before it has to."""

from __future__ import annotations

import gc
import importlib
import os
import signal
import sys
from collections.abc import Mapping
from typing import Any, NoReturn

import click

from zoo.errors import ZooError

COMMANDS = {
    "list": "models:list_models",
    "info": "models:info",
    "recommend": "recommend:recommend",
    "train": "train:train",
    "recipe": "recipe:recipe",
    "evaluate": "evaluate:evaluate",
    "predict": "predict:predict",
    "explain": "explain:explain",
    "diagnose": "diagnose:diagnose",
    "export": "export:export",
    "runs": "runs:runs",
    "data": "data:data",
    "datasets": "datasets:datasets",
    "devices": "devices:devices",
    "plugins": "plugins:plugins",
    "weights": "weights:weights",
    "lock": "lock:lock",
    "sync": "lock:sync",
    "profile": "profile:profile",
    "catalogue": "catalogue:catalogue",
}


class LazyGroup(click.Group):
    """A group whose subcommands are imported when they are run or listed.

    `commands_at` gives for each name, in the order of their use, where it is: `module:function`, the module
    within `zoo.cli`.
    """

    def __init__(self, *args: Any, commands_at: Mapping[str, str], **options: Any) -> None:
        super().__init__(*args, **options)
        self.commands_at = commands_at

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names in their order."""
        return list(self.commands_at)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, imported now."""
        if cmd_name not in self.commands_at:
            return None
        module, _, attribute = self.commands_at[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(f"zoo.cli.{module}"), attribute)
        return command


class ZooGroup(LazyGroup):
    """Our commands, then those of plugins, which cannot replace ours."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Ours in the order of their use, then those that plugins bring."""
        return [*super().list_commands(ctx), *sorted(_plugin_commands())]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name; plugins are loaded only for a name that is none of ours."""
        return super().get_command(ctx, cmd_name) or _plugin_commands().get(cmd_name)


def _plugin_commands() -> dict[str, click.Command]:
    from zoo.registry import installed

    registry = installed()
    for name in COMMANDS.keys() & registry.commands.keys():
        registry.remark(registry.commands[name][0], f"brings a command {name!r}, which zoo has itself")
    return {name: command for name, (_, command) in registry.commands.items() if name not in COMMANDS}


@click.group(
    cls=ZooGroup,
    commands_at=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="torch-zoo", prog_name="zoo")
@click.option("--debug", is_flag=True, help="Show the whole traceback of a fault.")
@click.option("-q", "--quiet", is_flag=True, help="Print results only: no progress, no warnings.")
@click.pass_context
def cli(ctx: click.Context, debug: bool, quiet: bool) -> None:
    """Find, train and load models from every installed plugin."""
    ctx.ensure_object(dict).update(debug=debug, quiet=quiet)
    if quiet:
        os.environ["ZOO_QUIET"] = "1"  # for what is told before a command sees the context, and by children


def main(arguments: list[str] | None = None) -> NoReturn:
    """Runs a command; a fault that the user can mend is one line on stderr.

    Exit status: 0 done, 1 a fault, 2 wrong usage, 130 interrupted.
    """
    given = sys.argv[1:] if arguments is None else arguments
    # Threads that spin while they wait make training five times slower beside other work, and gain nothing.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("ZOO_ASK", "1")  # before a large download, on a terminal
    gc.set_threshold(200_000)  # thousands of records are read at once and all of them stay
    try:
        status = cli.main(given, prog_name="zoo", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except ZooError as error:
        if "--debug" in given:
            raise
        click.echo(f"zoo: {error}", err=True)
        sys.exit(1)
    except (click.Abort, KeyboardInterrupt):
        click.echo("zoo: interrupted", err=True)
        sys.exit(128 + signal.SIGINT)
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except Exception as error:
        if "--debug" in given:
            raise
        click.echo(f"zoo: {_blame(error)}; see where with: zoo --debug ...", err=True)
        sys.exit(1)
    sys.exit(status if isinstance(status, int) else 0)


def _blame(error: Exception) -> str:
    """A fault that nobody foresaw, with the name of the plugin in whose code it arose, if in one's."""
    from zoo.registry import installed

    told = f"{type(error).__name__}: {' '.join(str(error).split())}"
    plugins = installed().plugins.values() if installed.cache_info().currsize else ()
    names = {plugin.package: plugin.name for plugin in plugins}
    trace, guilty = error.__traceback__, None
    while trace is not None:
        package = str(trace.tb_frame.f_globals.get("__name__", "")).partition(".")[0]
        guilty = names.get(package, guilty)
        trace = trace.tb_next
    return f"plugin {guilty!r}: {told}" if guilty else f"internal error: {told}"


__all__: list[Any] = ["cli", "main"]
