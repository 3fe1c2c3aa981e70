"""What was made of data and is kept for the next time: whole or not at all, made once, within a bound.

    tables/KEY/    rows of large tables
    tokens/KEY/    texts as tokens
    images/KEY/    images in the size and colours that a model sees
    looks/KEY/     what one look at each of many image files told
    locks/         one for each of these that is being made

Where there is more than `ZOO_CACHE_SIZE` allows, what was not used for the longest time goes first.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from zoo import locks, settings

KINDS = ("tables", "tokens", "images", "looks")
PARTIAL, GONE = ".partial-", ".gone-"  # before the key, of what is being made and of what is being removed


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A folder of the cache, its bytes, and when it was last used (seconds since 1970)."""

    path: Path
    bytes: int
    used: float


def keep(kind: str, key: str, write: Callable[[Path], None], *, size: int = 0) -> Path:
    """The folder `$ZOO_HOME/kind/key`; where there is none, `write` fills it, in one process at a time.

    `size` is how many bytes that will take, where it is known. Raises `OSError` where there is no room, and
    leaves nothing then.
    """
    folder = settings.home() / kind / key
    if not _use(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _locked(folder):
            if not _use(folder):  # else another process has made it while this one waited
                _make(folder, write, size)
    return folder


def entries() -> list[Entry]:
    """Everything that is kept, the one that was not used for the longest time first."""
    found = []
    for folder in _folders("[!.]*"):
        with contextlib.suppress(FileNotFoundError):  # another process may be removing it
            total = sum(path.stat().st_size for path in folder.iterdir())
            found.append(Entry(path=folder, bytes=total, used=folder.stat().st_mtime))
    return sorted(found, key=lambda entry: entry.used)


def trim(limit: int, *, spare: Path | None = None) -> list[Entry]:
    """Removes what was not used for the longest time until `limit` bytes are left; returns what went.

    `spare` stays. What processes that were killed have left behind goes in any case.
    """
    _clear()
    kept, removed = entries(), []
    total = sum(entry.bytes for entry in kept)
    for entry in kept:
        if total <= limit:
            break
        if entry.path != spare and _remove(entry.path):
            removed.append(entry)
            total -= entry.bytes
    return removed


def _make(folder: Path, write: Callable[[Path], None], size: int) -> None:
    trim(settings.cache_bytes() - size)
    if size > shutil.disk_usage(folder.parent).free:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder.parent))
    partial = folder.with_name(PARTIAL + folder.name)
    shutil.rmtree(partial, ignore_errors=True)  # that of a process that was killed
    try:
        partial.mkdir()
        write(partial)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    _use(folder)
    trim(settings.cache_bytes(), spare=folder)


def _use(folder: Path) -> bool:
    """Whether the folder is there; if so, it is the last one to be removed from now on."""
    if not folder.is_dir():
        return False
    with contextlib.suppress(OSError):  # a cache that may only be read
        os.utime(folder)
    return True


def _remove(folder: Path) -> bool:
    """Removes a folder so that nobody finds half of it; whether that could be done."""
    gone = folder.with_name(GONE + folder.name)
    try:
        folder.rename(gone)
    except OSError:  # another process was quicker, or it is open where open files cannot be removed
        return False
    shutil.rmtree(gone, ignore_errors=True)
    return True


def _clear() -> None:
    """Removes what processes that were killed have left behind."""
    for folder in (*_folders(f"{PARTIAL}*"), *_folders(f"{GONE}*")):
        key = folder.name.removeprefix(PARTIAL)
        if folder.name.startswith(GONE) or locks.is_free(_lock(folder.with_name(key))):
            shutil.rmtree(folder, ignore_errors=True)


def _folders(pattern: str) -> list[Path]:
    return [path for kind in KINDS for path in (settings.home() / kind).glob(pattern) if path.is_dir()]


# -- locks ------------------------------------------------------------------------------------


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Alone with a folder among all processes."""
    path = _lock(folder)
    with locks.locked(path):
        yield
        with contextlib.suppress(OSError):  # needed no longer, since the folder is there
            path.unlink()


def _lock(folder: Path) -> Path:
    return settings.home() / "locks" / f"{folder.parent.name}-{folder.name}.lock"
