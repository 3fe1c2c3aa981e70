"""What a user sees of a download: its size beforehand where it is large, and a bar while it lasts."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from zoo import settings
from zoo.errors import WeightsError
from zoo.units import format_bytes

LARGE = 100_000_000  # bytes of which a user is told before they are fetched


def announce(uri: str, count: int) -> None:
    """Tells of a large download, and asks where the `zoo` command is used on a terminal.

    Raises `WeightsError` where the answer is no.
    """
    if count <= LARGE:
        return
    if settings.asks() and sys.stdin.isatty() and sys.stderr.isatty():
        import click

        if not click.confirm(f"fetch {format_bytes(count)} from {uri}?", default=True, err=True):
            raise WeightsError(f"{uri}: {format_bytes(count)} were not fetched, as you said")
    else:
        tell(f"fetching {format_bytes(count)} from {uri}")


def tell(line: str) -> None:
    """One line on stderr, kept back with `-q`."""
    if not settings.quiet():
        print(f"zoo: {line}", file=sys.stderr)  # noqa: T201


def shown() -> bool:
    """Whether bars are shown: on a terminal, without `-q`."""
    return sys.stderr.isatty() and not settings.quiet()


@contextmanager
def bar(name: str, done: int, total: int | None) -> Iterator[Callable[[int], None]]:
    """A bar on stderr with speed and time left; what it gives is called with the bytes that have come."""
    if not shown():
        yield lambda count: None
        return
    from rich import progress
    from rich.console import Console

    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.DownloadColumn(),
        progress.TransferSpeedColumn(),
        progress.TimeRemainingColumn(),
    )
    with progress.Progress(*columns, console=Console(stderr=True), transient=True) as display:
        task = display.add_task(name, completed=done, total=total)
        yield lambda count: display.advance(task, count)
