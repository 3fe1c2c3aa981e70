"""The zoo's own cache of fetched files: where a URI's file lies, its lock, and what may be thrown away.

    weights/pins.json                          what unrecorded files were at first
    weights/locks/                             one for each file that is being fetched
    weights/HOST-HASH/NAME                     a whole file, checked before it got this name
    weights/HOST-HASH/NAME.partial[.version]   as much as has come, and of which version it is
    weights/HOST-HASH/NAME.corrupt             a file that was not what it should be

Files whose addresses differ in the last part alone share a folder, as a sharded file's parts must.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from urllib.parse import unquote, urlsplit

from zoo import locks, settings
from zoo.errors import WeightsError

PINS, LOCKS = "pins.json", "locks"
PARTIAL, VERSION, CORRUPT = ".partial", ".partial.version", ".corrupt"


def root() -> Path:
    """The folder of the cache; not created here."""
    return settings.home() / "weights"


def place(uri: str) -> Path:
    """Where the file of an `https://` URI lies, or will lie."""
    parts = urlsplit(uri)
    parent, _, name = parts.path.rpartition("/")
    key = sha256(f"{parts.scheme}://{parts.netloc}{parent}?{parts.query}".encode()).hexdigest()[:16]
    host = re.sub(r"[^\w.-]", "_", parts.hostname or "")
    return root() / f"{host}-{key}" / (re.sub(r"[^\w.-]", "_", unquote(name))[-128:].lstrip(".") or "file")


def beside(path: Path, suffix: str) -> Path:
    """The file that belongs to `path`: with PARTIAL, VERSION or CORRUPT for its suffix."""
    return path.with_name(path.name + suffix)


@contextmanager
def locked(key: str) -> Iterator[None]:
    """Alone with the file that `key` names, among all processes that use this cache."""
    path = _lock(key)
    with ExitStack() as held:
        try:
            held.enter_context(locks.locked(path))
        except OSError as error:
            raise unwritable(path, error) from None
        yield


def set_aside(file: Path, path: Path) -> None:
    """Renames a false file of `path` so that it is never used, and remains to be looked at."""
    file.replace(beside(path, CORRUPT))
    beside(path, VERSION).unlink(missing_ok=True)


def unwritable(path: Path, error: OSError) -> WeightsError:
    """The error for a cache that cannot be written."""
    return WeightsError(f"{path} cannot be written: {error.strerror}; set ZOO_HOME to another folder")


def _lock(key: str) -> Path:
    return root() / LOCKS / f"{sha256(key.encode()).hexdigest()[:32]}.lock"


# -- what may be thrown away ------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Leftover:
    """A file of the cache that nothing needs."""

    path: Path
    bytes: int
    reason: str


def leftovers(needed: Collection[Path]) -> list[Leftover]:
    """Every file that is partial, set aside, or none of those `needed`; none that is being fetched."""
    found = []
    for path in sorted(root().glob("*/*")):
        if path.parent.name == LOCKS or path in needed or not path.is_file() or _is_fetched(path):
            continue
        if path.name.endswith((PARTIAL, VERSION)):
            reason = "partial"
        else:
            reason = "false" if path.name.endswith(CORRUPT) else "of no installed weights"
        found.append(Leftover(path=path, bytes=path.stat().st_size, reason=reason))
    return found


def remove(leftover: Leftover) -> None:
    """Removes a file, and its folder with the last one; raises `WeightsError` where it may not."""
    try:
        leftover.path.unlink(missing_ok=True)
        if not any(leftover.path.parent.iterdir()):
            leftover.path.parent.rmdir()
    except OSError as error:
        raise WeightsError(f"{leftover.path} cannot be removed: {error.strerror}") from None


def _is_fetched(path: Path) -> bool:
    """Whether a process is about to fetch this very file."""
    whole = path
    for suffix in (VERSION, PARTIAL, CORRUPT):
        whole = whole.with_name(whole.name.removesuffix(suffix))
    return not locks.is_free(_lock(key_of(whole)))


def key_of(path: Path) -> str:
    """The key of a cached file's lock."""
    return f"{path.parent.name}/{path.name}"
