"""Paths that users gave, which may be no paths at all; and files that are written in one go."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from zoo.errors import ZooError


def exists(path: str | os.PathLike[str]) -> bool:
    """Whether anything is there; what can be no path, such as a name of 5,000 letters, is not."""
    try:
        return Path(path).exists()
    except (OSError, ValueError):
        return False


def is_file(*parts: str | os.PathLike[str]) -> bool:
    """Whether a file is there, likewise."""
    try:
        return Path(*parts).is_file()
    except (OSError, ValueError):
        return False


def is_folder(*parts: str | os.PathLike[str]) -> bool:
    """Whether a folder is there, likewise."""
    try:
        return Path(*parts).is_dir()
    except (OSError, ValueError):
        return False


def write_whole(path: Path, content: bytes) -> None:
    """Writes a file in one go: whoever reads it finds the old content or the new, never a part.

    Raises `OSError`, and leaves the old content then.
    """
    with whole_at(path) as partial:
        partial.write_bytes(content)


@contextmanager
def whole_at(path: Path) -> Iterator[Path]:
    """Where to write what takes the place of `path` in one go, for those who write by name.

    Raises `OSError`, and leaves the old content then.
    """
    with _placed(path, Path.replace) as partial:
        yield partial


@contextmanager
def growing_new(path: Path) -> Iterator[IO[str]]:
    """A text file that is not there yet, under a name of its own until it is whole.

    Raises `FileExistsError` where something is there, or has come to be there meanwhile.
    """
    if path.exists():
        raise FileExistsError(path)
    with _placed(path, _link_new) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        yield file


@contextmanager
def _placed(path: Path, place: Callable[[Path, Path], object]) -> Iterator[Path]:
    """A file beside `path` that `place` brings there once it is written, and that never stays.

    Whoever may read a new file here may read it, even where its writer made it anew for itself alone, as
    safetensors does.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.touch()
        mode = partial.stat().st_mode
        yield partial
        partial.chmod(mode)
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        place(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _link_new(partial: Path, path: Path) -> None:
    try:
        os.link(partial, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        path.open("xb").close()
        partial.replace(path)


@contextmanager
def told_of_new(path: Path, *, another: str, error: type[ZooError] = ZooError) -> Iterator[None]:
    """Raises `error` in one line where a new file is there already or cannot be written within.

    `another` is what the user can choose: a `file`, or the option that names it.
    """
    try:
        yield
    except FileExistsError:
        raise error(f"{str(path)!r} exists already; choose another {another}") from None
    except OSError as cause:
        raise error(f"{str(path)!r} cannot be written: {cause.strerror}") from None


def write_new(path: Path, content: bytes) -> None:
    """Writes a file that is not there yet, likewise; raises `FileExistsError` where something is."""
    path.open("xb").close()  # nobody else can take the name from here on
    try:
        write_whole(path, content)
    except OSError:
        path.unlink()
        raise
