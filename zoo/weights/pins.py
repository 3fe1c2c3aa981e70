"""What files without a recorded sha256 were on their first use, so that a later change is noticed."""

from __future__ import annotations

from pathlib import Path

import msgspec

from zoo.errors import WeightsError
from zoo.paths import write_whole
from zoo.weights import cache
from zoo.weights.trust import Expectation, sha256


class Pin(msgspec.Struct, frozen=True, omit_defaults=True):
    """A file as it was at first; `commit` is the one of the hub's repository that it came from."""

    sha256: str
    bytes: int
    commit: str | None = None


class _Pins(msgspec.Struct, frozen=True):
    schema: int = 1
    pins: dict[str, Pin] = {}


def pinned(uri: str) -> Pin | None:
    """What a URI's file was at first, None where it was never used."""
    return _read().get(uri)


def expect(uri: str, recorded: Expectation, *, commit: str | None = None) -> Expectation:
    """What is recorded, or where that names no hash, what the file was at first from the same commit."""
    pin = pinned(uri) if recorded.sha256 is None else None
    if pin is None or pin.commit != commit:
        return recorded
    return Expectation(sha256=pin.sha256, bytes=recorded.bytes, said="on its first use it was")


def keep(uri: str, path: Path, *, commit: str | None = None) -> None:
    """Notes what a URI's file is, unless that is known already."""
    known = pinned(uri)
    if known is not None and known.commit == commit:
        return
    new = Pin(sha256(path), path.stat().st_size, commit)
    with cache.locked(cache.PINS):
        _write({**_read(), uri: new})


def mend(expected: Expectation) -> str:
    """What to do about a file that is not as expected twice."""
    if expected.said == Expectation.said:
        return "ask those who brought the record, or upgrade their package"
    return f"where the change is meant, remove its entry from {_file()}"


def _read() -> dict[str, Pin]:
    try:
        return msgspec.json.decode(_file().read_bytes(), type=_Pins).pins
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.MsgspecError) as error:
        raise WeightsError(f"{_file()} cannot be read ({error}); mend or remove it") from None


def _write(pins: dict[str, Pin]) -> None:
    path = _file()
    try:
        write_whole(path, msgspec.json.format(msgspec.json.encode(_Pins(pins=pins)), indent=1))
    except OSError as error:
        raise cache.unwritable(path, error) from None


def _file() -> Path:
    return cache.root() / cache.PINS
