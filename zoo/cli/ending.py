"""What `zoo train` says when it is done."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from zoo.cli.output import print_json, print_lines, print_table
from zoo.registry import installed

if TYPE_CHECKING:
    from zoo.advice import Advice
    from zoo.runs import Run

F = TypeVar("F", bound=Callable[..., Any])


def tell_outcome(ctx: click.Context, run: Run, *, as_json: bool) -> None:
    """The results on stdout, as tables or as JSON; advice on stderr too, if there is any."""
    from zoo.advice import advise
    from zoo.outcome import comparison, results

    registry = installed()
    found = advise(run, registry)
    if as_json:
        print_json({"schema": 1, "run": str(run.path), **run.document(), "advice": found})
    else:
        task, record = registry.task(run.record.problem.task), run.record
        click.echo(f"{record.model} on {record.data['name']}: {record.steps:,} steps on {record.device}")
        columns, rows = results(record, task)
        print_table(columns, rows, right=columns[1:])
        print_lines([*comparison(record, run.history, task), ("run", str(run.path))])
    if not ctx.find_root().obj.get("quiet"):
        _tell(found)


def _tell(found: Sequence[Advice]) -> None:
    for advice in found:
        click.echo(f"advice: {advice.title}: {advice.told}\n        {advice.command}", err=True)


def log_option(command: F) -> F:
    """Which trackers see the training."""
    return click.option(
        "--log-with",
        "trackers",
        multiple=True,
        metavar="NAME",
        help="Log to tensorboard, wandb or another tracker that accelerate knows.",
    )(command)


def warn(ctx: click.Context, line: str) -> None:
    """A warning on stderr; nothing with `-q`."""
    if not ctx.find_root().obj.get("quiet"):
        click.echo(f"warning: {line}", err=True)
