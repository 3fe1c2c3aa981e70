"""Large tables: copied into the cache as Arrow, a batch at a time, and mapped into memory from there."""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pyarrow as pa

from zoo import settings
from zoo.data import cache
from zoo.data.images import stamp
from zoo.errors import DataError

FORMAT = f"zoo tables 1, arrow {pa.__version__}"
LARGE = 16 << 20  # bytes of a table, from which on it is not read into memory
BATCH = 1 << 20  # bytes of it that are read at once, of which Arrow keeps some tens ready
FILE = "rows.arrow"


class Pages:
    """An Arrow file that is mapped into memory."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def table(self) -> pa.Table:
        """Its rows, none of which is read before it is used; raises `pa.ArrowInvalid`."""
        buffer = pa.py_buffer(self._map)
        try:
            return pa.ipc.open_file(buffer).read_all()
        except pa.ArrowInvalid:
            return pa.ipc.open_stream(buffer).read_all()

    def release(self) -> None:
        """Takes what was read out of this process's memory; it comes back where it is used again."""
        if hasattr(mmap, "MADV_DONTNEED"):
            self._map.madvise(mmap.MADV_DONTNEED)


def store(path: Path, manner: str, read: Callable[[], AbstractContextManager[pa.RecordBatchReader]]) -> Pages:
    """What `read` makes of the table at `path`, kept under `$ZOO_HOME/tables` and found there again.

    `manner` tells this way to read it from others. Raises `DataError` where there is no room, or where the
    table changes meanwhile, and leaves nothing then.
    """
    before = stamp(path)
    with path.open("rb") as file:
        content = hashlib.file_digest(file, "sha256").hexdigest()
    key = hashlib.sha256(f"{FORMAT} {manner} {content}".encode()).hexdigest()

    def write(folder: Path) -> None:
        with read() as batches, pa.ipc.new_stream(str(folder / FILE), batches.schema) as writer:
            for batch in batches:
                writer.write_batch(batch)
        if stamp(path) != before:  # then these may not be the rows of the content above
            raise DataError(f"{str(path)!r} changed while it was read; let it be, then begin anew")

    try:
        return Pages(cache.keep("tables", key, write) / FILE)
    except OSError as error:
        raise DataError(
            f"the rows of {str(path)!r} cannot be kept in {str(settings.home() / 'tables')!r}: "
            f"{error.strerror or error}; make room there, or set ZOO_HOME to another folder"
        ) from None
