"""What a look at many image files told, remembered for as long as the files stay as they are."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
import PIL

from zoo.data import cache
from zoo.data.images import Cell, Seen, in_threads, look, stamp

FORMAT = f"zoo looks 2, pillow {PIL.__version__}"
MANY = 100  # files, of which it is worth while to remember what they told
SETTLED = 2.0  # seconds since its last change, after which a further one shows in a file's time
FILE = "seen.msgpack"


def look_at_all(cells: Sequence[Cell]) -> list[Seen | str]:
    """`look` at every image; many files are not read again while path, size and time stay the same."""
    if len(cells) < MANY or not isinstance(cells[0], Path):
        return in_threads(look, cells)
    key, newest = _key(cells)
    if newest > time.time() - SETTLED:
        return in_threads(look, cells)

    def write(folder: Path) -> None:
        (folder / FILE).write_bytes(msgspec.msgpack.encode(in_threads(look, cells)))

    try:
        folder = cache.keep("looks", key, write)
        seen = msgspec.msgpack.decode((folder / FILE).read_bytes(), type=list[Seen | str])
    except (OSError, msgspec.MsgspecError):  # no room, or damaged: then they are looked at anew
        return in_threads(look, cells)
    return seen


def _key(cells: Sequence[Cell]) -> tuple[str, float]:
    """What tells these files in this state from others, and the time of the last change, in seconds."""
    digest, newest = hashlib.sha256(FORMAT.encode()), 0
    for cell in cells:
        state = None
        if isinstance(cell, Path):
            try:
                state = stamp(cell)
                newest = max(newest, state[1])
            except OSError:
                pass
            cell = str(cell.absolute()).encode("utf-8", "surrogateescape")
        digest.update(cell + f"\0{state}\0".encode())
    return digest.hexdigest(), newest / 1e9
