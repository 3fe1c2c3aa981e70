"""A folder that is written whole, in place of nothing or of what was written there before."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from zoo.errors import ZooError

MARKER = "catalogue.json"  # lists the files beside it, all of which may be replaced
SCHEMA = 1
Write = Callable[[Mapping[str, bytes]], None]


def replace_folder(folder: Path) -> Write:
    """What writes files by name as the folder's whole content, in one step; raises `ZooError` if it may not.

    It may where nothing is there, an empty folder, or one that it wrote itself and nobody added to.
    """
    _check_ours(folder)

    def write(files: Mapping[str, bytes]) -> None:
        try:
            _swap(folder, files)
        except OSError as error:
            raise _unwritable(folder, error) from None

    return write


def _check_ours(folder: Path) -> None:
    try:
        if not folder.is_dir():
            if folder.exists() or folder.is_symlink():
                raise ZooError(f"{str(folder)!r} is a file; give a folder that does not exist yet")
            return
        strange = sorted({entry.name for entry in folder.iterdir()} - _written(folder))
    except OSError as error:
        raise _unwritable(folder, error) from None
    except ValueError as error:
        raise ZooError(
            f"{str(folder)!r} is no path: {error}; give a folder that does not exist yet"
        ) from None
    if strange:
        raise ZooError(
            f"{str(folder)!r} holds {strange[0]!r}, which is no part of an earlier catalogue; "
            "give a folder that is empty or does not exist yet"
        )


def _written(folder: Path) -> set[str]:
    """The files of an earlier catalogue, by its own list; none where there is no such list."""
    try:
        record = msgspec.json.decode((folder / MARKER).read_bytes())
        return {MARKER, *map(str, record["files"])} if record["schema"] == SCHEMA else set()
    except (OSError, ValueError, KeyError, TypeError):
        return set()


def _swap(folder: Path, files: Mapping[str, bytes]) -> None:
    """Written beside the folder, then renamed; the earlier one comes back where that fails."""
    target = folder.resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".zoo-catalogue-", dir=target.parent))
    try:
        made, earlier = scratch / "new", scratch / "old"
        made.mkdir()
        marker = msgspec.json.encode({"schema": SCHEMA, "files": sorted(files)})
        for name, content in {**files, MARKER: marker}.items():
            (made / name).write_bytes(content)
        if target.exists():
            target.rename(earlier)
        try:
            made.rename(target)
        except OSError:
            if earlier.exists():
                earlier.rename(target)
            raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _unwritable(folder: Path, error: OSError) -> ZooError:
    return ZooError(f"{str(folder)!r} cannot be written: {error.strerror}; give another folder")
