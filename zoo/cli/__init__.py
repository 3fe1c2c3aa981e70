"""The `zoo` command: one module for each subcommand, none of which imports torch before it has to."""

from __future__ import annotations

import gc
import importlib
import os
import signal
import sys
from typing import Any, NoReturn

import click

from zoo.errors import ZooError

COMMANDS = {
    "list": "models:list_models",
    "info": "models:info",
    "recommend": "recommend:recommend",
    "train": "train:train",
    "evaluate": "evaluate:evaluate",
    "predict": "predict:predict",
    "datasets": "datasets:datasets",
    "devices": "devices:devices",
    "plugins": "plugins:plugins",
    "weights": "weights:weights",
    "profile": "profile:profile",
}


class ZooGroup(click.Group):
    """Our commands by name, imported when they are run or listed; then those of plugins."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Ours in the order of their use, then those that plugins bring."""
        return [*COMMANDS, *sorted(set(_plugin_commands()) - set(COMMANDS))]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """The command of that name; a plugin cannot replace one of ours."""
        if name not in COMMANDS:
            return _plugin_commands().get(name)
        module, _, attribute = COMMANDS[name].partition(":")
        command: click.Command = getattr(importlib.import_module(f"zoo.cli.{module}"), attribute)
        return command


def _plugin_commands() -> dict[str, click.Command]:
    from zoo.registry import installed

    return {str(command.name): command for command in installed().call("zoo_commands", click.Command)}


@click.group(cls=ZooGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="torch-zoo", prog_name="zoo")
@click.option("--debug", is_flag=True, help="Show the whole traceback of a fault.")
@click.option("-q", "--quiet", is_flag=True, help="Print results only: no progress, no warnings.")
@click.pass_context
def cli(ctx: click.Context, debug: bool, quiet: bool) -> None:
    """Find, train and load models from every installed plugin."""
    ctx.ensure_object(dict).update(debug=debug, quiet=quiet)


def main(arguments: list[str] | None = None) -> NoReturn:
    """Runs a command; a fault that the user can mend is one line on stderr.

    Exit status: 0 done, 1 a fault, 2 wrong usage, 130 interrupted.
    """
    given = sys.argv[1:] if arguments is None else arguments
    # Threads that spin while they wait make training five times slower beside other work, and gain nothing.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    gc.set_threshold(50_000)  # thousands of records are read at once and all of them stay
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
    sys.exit(status if isinstance(status, int) else 0)


__all__: list[Any] = ["cli", "main"]
