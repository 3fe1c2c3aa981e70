"""What commands share: tables and JSON on stdout, progress on stderr."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, TypeVar

import click
import msgspec

if TYPE_CHECKING:
    from rich.console import Console

GAP = 2  # spaces between columns
NARROW = 8  # characters that a column keeps, however narrow the terminal is
F = TypeVar("F", bound=Callable[..., Any])

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs to read.")
device_option = click.option(
    "--device", default="auto", show_default=True, help="Where to compute: auto, cpu, cuda or mps."
)


def weights_option(told: str) -> Callable[[F], F]:
    """`--pretrained` or `--scratch`, as a `pretrained` of true, false or None; both together are an error.

    `told` is the help of the first, where `{}` stands for `with` or, of the second, `without`.
    """

    def decide(ctx: click.Context, parameter: click.Parameter, value: bool | None) -> bool | None:
        before: bool | None = ctx.params.get("pretrained")
        wanted = parameter.name == "pretrained" if value else before
        if before is not None and wanted != before:
            raise click.UsageError("--pretrained and --scratch leave no model; say one of them, or neither")
        ctx.params["pretrained"] = wanted
        return wanted

    def add(command: F) -> F:
        for name, word in (("scratch", "without"), ("pretrained", "with")):
            kept = name == "pretrained"
            command = click.option(
                f"--{name}",
                is_flag=True,
                default=None,
                callback=decide,
                expose_value=kept,
                help=told.format(word),
            )(command)
        return command

    return add


def print_json(document: Any) -> None:
    """One JSON document on stdout."""
    click.echo(msgspec.json.format(msgspec.json.encode(document), indent=2).decode())


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[str] = ()) -> None:
    """A table on stdout; the columns in `right` hold numbers.

    Wide cells go on over several lines on a terminal; for programs such as grep each row is one line.
    """
    widths = _fitted([max(map(len, column)) for column in zip(columns, *rows, strict=True)])
    for number, row in enumerate((columns, *rows)):
        for parts in zip_longest(*map(_wrapped, row, widths), fillvalue=""):
            cells = (
                part.rjust(width) if name in right else part.ljust(width)
                for name, part, width in zip(columns, parts, widths, strict=True)
            )
            line = (" " * GAP).join(cells).rstrip()
            click.echo(line if number else click.style(line, bold=True))


def _fitted(widths: list[int]) -> list[int]:
    """Widths of columns that fit a line, taken from the widest ones."""
    while sum(widths) + GAP * (len(widths) - 1) > _line_width() and max(widths) > NARROW:
        widths[widths.index(max(widths))] -= 1
    return widths


def _wrapped(cell: str, width: int) -> list[str]:
    if len(cell) <= width:
        return [cell]
    import textwrap  # of no use where all fits

    return textwrap.wrap(cell, width)


def print_lines(lines: Sequence[tuple[str, str]]) -> None:
    """Labels with a text each, side by side on stdout."""
    if lines:
        formatter = click.HelpFormatter(width=_line_width())
        formatter.write_dl([(click.style(label, bold=True), text) for label, text in lines])
        click.echo(formatter.getvalue(), nl=False)


def _line_width() -> int:
    """Columns of the terminal; where there is none, lines are as long as they are."""
    if not sys.stdout.isatty():
        return sys.maxsize
    import shutil  # slow: it imports the archive modules

    return shutil.get_terminal_size().columns


def progress_console(ctx: click.Context) -> Console:
    """The console for bars and lines of progress: stderr, silent with `-q`."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, quiet=bool(ctx.find_root().obj.get("quiet")))
