"""What commands share: tables and JSON on stdout, progress on stderr."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click
import msgspec

if TYPE_CHECKING:
    from rich.console import Console

F = TypeVar("F", bound=Callable[..., Any])

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs to read.")
device_option = click.option(
    "--device", default="auto", show_default=True, help="Where to compute: auto, cpu, cuda or mps."
)


def print_json(document: Any) -> None:
    """One JSON document on stdout."""
    click.echo(msgspec.json.format(msgspec.json.encode(document), indent=2).decode())


def output_console() -> Console:
    """Standard output; wide enough for whole lines where it is no terminal."""
    from rich.console import Console

    return Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else 200)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[str] = ()) -> None:
    """A table on stdout; the columns in `right` hold numbers."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for name in columns:
        table.add_column(name, justify="right" if name in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    output_console().print(table)


def progress_console(ctx: click.Context) -> Console:
    """The console for bars and lines of progress: stderr, silent with `-q`."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, quiet=bool(ctx.find_root().obj.get("quiet")))


def score(value: float, unit: str) -> str:
    """A metric as it is read: a fraction in per cent, a number with four digits."""
    return f"{100 * value:.1f}%" if unit == "fraction" else f"{value:.4g}"
