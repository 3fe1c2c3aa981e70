"""Known failures: what a plugin declares in `conformance.toml`, in its package."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from zoo.errors import SpecError, closest
from zoo.manifests import read_records
from zoo.registry import Plugin
from zoo.specs import Record

if TYPE_CHECKING:
    from zoo.testing.check import Check

FILE = "conformance.toml"


class KnownFailure(Record, frozen=True, kw_only=True):
    """A check that models cannot pass, and why.

    `model` is a glob over full or bare names; empty for the checks of the plugin itself.
    """

    check: str
    reason: Annotated[str, Meta(min_length=1)]
    model: str = ""

    def covers(self, check: Check) -> bool:
        """Whether it is this check that is known to fail."""
        same = check.is_about(self.model) if self.model else not check.subject
        return same and check.name == self.check


def read_known(plugin: Plugin) -> list[KnownFailure]:
    """What the plugin declares; raises `SpecError` that lists every fault of the file."""
    package = getattr(plugin.module, "__package__", None)
    if not package or not files(package).joinpath(FILE).is_file():
        return []
    return read_records(package, FILE, "known_failure", KnownFailure)


def check_known(plugin: Plugin, known: Sequence[KnownFailure], checks: Sequence[Check]) -> None:
    """Raises `SpecError` for what is declared of a check or a model that does not exist."""
    faults = [
        f"check = {entry.check!r}, model = {entry.model!r}: {_hint(entry, checks)}"
        for entry in known
        if not any(entry.covers(check) for check in checks)
    ]
    if faults:
        raise SpecError(f"{plugin.package}/{FILE}", faults)


def _hint(entry: KnownFailure, checks: Sequence[Check]) -> str:
    of_model = [check for check in checks if entry.model and check.is_about(entry.model)]
    if entry.model and not of_model:
        names = sorted({check.subject for check in checks if check.subject})
        close = closest(entry.model, [*names, *(name.rpartition("/")[2] for name in names)])
        return f"no such model{_or_rather(close)}; remove it, or mend the name"
    names = sorted({check.name for check in of_model or checks})
    return f"no such check there{_or_rather(closest(entry.check, names))}; remove it, or mend the name"


def _or_rather(close: Sequence[str]) -> str:
    return f" (did you mean {close[0]!r}?)" if close else ""
