"""Every fault a user can mend, as one line: what, where, what to do.

ZooError
├── UnknownNameError   a name that is unknown or ambiguous
├── SpecError          a record (problem, spec, recipe) with bad fields; lists all of them
├── PluginError        a plugin that is quarantined, or that fails on use
├── DataError          data that is missing, unreadable or of the wrong kind
├── WeightsError       weights that cannot be had, trusted or fitted to the model
│   └── UntrustedError a file that is not what its record says, or not what it was at first
├── RunError           a run folder that exists, is incomplete or cannot be written
└── TrainingError      a training that cannot start or go on
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence


class ZooError(Exception):
    """A fault that the user can mend; `str()` of it is one line."""


class UnknownNameError(ZooError, LookupError):
    """A name that is unknown or ambiguous; `close` holds what may have been meant."""

    def __init__(self, message: str, *, close: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.close = tuple(close)


class SpecError(ZooError, ValueError):
    """A record with bad fields; `faults` holds every one of them, `where` the record's place."""

    def __init__(self, where: str, faults: Sequence[str]) -> None:
        self.where = where
        self.faults = tuple(faults)
        count = "" if len(self.faults) == 1 else f"{len(self.faults)} faults: "
        super().__init__(f"{where}: {count}{'; '.join(self.faults)}")


class PluginError(ZooError):
    """A plugin that is quarantined, or that fails on use; `plugin` is its name."""

    def __init__(self, plugin: str, reason: str) -> None:
        self.plugin = plugin
        self.reason = reason
        super().__init__(f"plugin {plugin!r}: {reason}")


class DataError(ZooError):
    """Data that is missing, unreadable or of the wrong kind."""


class WeightsError(ZooError):
    """Weights that cannot be had, trusted or fitted to the model."""


class AbsentError(WeightsError):
    """A file that its source, which answers, does not have."""


class UntrustedError(WeightsError):
    """A file that is not what its record says, or not what it was at first; no other source stands in."""


class RunError(ZooError):
    """A run folder that exists, is incomplete or cannot be written."""


class TrainingError(ZooError):
    """A training that cannot start or go on."""


def closest(name: str, known: Iterable[str]) -> list[str]:
    """The up to three known names nearest to `name`, best first."""
    import difflib  # for those who have mistyped

    return difflib.get_close_matches(name, list(known), n=3, cutoff=0.6)


def hint(name: str, known: Iterable[str], otherwise: str = "") -> str:
    """Which known name was meant; where none is near, `otherwise`, by default all of them."""
    names = list(known)
    close = closest(name, names)
    return f"did you mean {close[0]!r}?" if close else otherwise or f"known: {', '.join(names)}"


def unknown(kind: str, name: str, known: Sequence[str]) -> UnknownNameError:
    """The error for a `kind` of thing that has no `name`: counts, suggests, lists when few."""
    close = closest(name, known)
    if close:
        hint = f"did you mean {' or '.join(close)}?"
    elif 0 < len(known) <= 12:
        hint = f"known: {', '.join(known)}"
    else:
        hint = f"see 'zoo {kind}s'" if kind != "model" else "see 'zoo list'"
    return UnknownNameError(f"no {kind} named {name!r} among {len(known):,} installed; {hint}", close=close)


def describe_error(error: BaseException) -> str:
    """Any exception by its type and its first line."""
    return f"{type(error).__name__}: {first_line(error)}"


def first_line(error: BaseException) -> str:
    """What any exception says at first, or its type where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
