"""How a training is run: for how long, how often it is saved, by how many processes."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import click

from zoo.limits import Limits
from zoo.units import parse_seconds

F = TypeVar("F", bound=Callable[..., Any])

STARTED = "ZOO_STARTED"  # the moment at which a command began that started this process, by the clock
_LAUNCHING = ("--processes", "--restarts")


class Time(click.ParamType[float]):
    """Seconds, written as people do."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """As a number, or from the words."""
        return value if isinstance(value, float) else parse_seconds(str(value))


def running_options(command: F) -> F:
    """Adds the options of `Limits`, and those that start processes."""
    for option in (
        click.option(
            "--max-time", type=Time(), metavar="TIME", help="End, all written, within this: 90s, 30m, 2h."
        ),
        click.option(
            "--checkpoint-every", type=Time(), metavar="TIME", help="How often to save; default: 1m."
        ),
        click.option("--shard", is_flag=True, help="Split the model over all processes (FSDP2)."),
        click.option(
            "--processes", type=click.IntRange(min=1), help="Train in so many processes of this machine."
        ),
        click.option(
            "--restarts",
            type=click.IntRange(min=0),
            default=0,
            help="Start failed processes anew so often, from the last checkpoint; default: 0.",
        ),
    ):
        command = option(command)
    return command


def limits(max_time: float | None, checkpoint_every: float | None) -> Limits:
    """The limits of a training, counted from the moment at which the command was given."""
    usual = Limits(max_seconds=max_time, started=time.perf_counter() - (time.time() - began()))
    return usual if checkpoint_every is None else replace(usual, checkpoint_seconds=checkpoint_every)


def began() -> float:
    """When the command was given, by the clock."""
    import psutil

    return float(os.environ.get(STARTED, psutil.Process().create_time()))


def launch_again(processes: int, restarts: int, output: Path | None) -> None:
    """Gives this very command to so many processes; the run is made in `output`, where it is a new one."""
    from zoo.launching import launch

    os.environ[STARTED] = str(began())
    arguments = without(sys.argv[1:], (*_LAUNCHING, *(("--output",) if output else ())))
    launch(processes, [*arguments, *(("--output", str(output)) if output else ())], restarts=restarts)


def without(arguments: Sequence[str], options: Sequence[str]) -> list[str]:
    """The arguments but for those options and their values."""
    kept, skip = [], False
    for argument in arguments:
        if not skip and argument not in options and not argument.startswith(tuple(f"{o}=" for o in options)):
            kept.append(argument)
        skip = argument in options and not skip
    return kept
