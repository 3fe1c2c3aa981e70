"""Locks among processes: a file of its own for each thing that only one of them may do at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Alone with what the lock file `path` stands for; the system frees the lock of a process that is killed.

    Raises `OSError` where the file cannot be made.
    """
    import filelock  # slow to import

    path.parent.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(path):
        yield


@contextmanager
def held(path: Path) -> Iterator[bool]:
    """As `locked`, but without waiting: gives whether nobody else held the lock."""
    import filelock  # slow to import

    path.parent.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(path)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def is_free(path: Path) -> bool:
    """Whether no process holds the lock; one that cannot be asked for may be held."""
    if not path.exists():
        return True
    try:
        with held(path) as alone:
            return alone
    except OSError:
        return False
