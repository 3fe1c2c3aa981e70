"""What every reader of files needs: their encoding, and whether they stay as they are."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from zoo.data.images import stamp
from zoo.errors import DataError

BOMS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # begins like UTF-16, so it is asked for first
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
NAMES = {
    "utf-16": "UTF-16",
    "utf-16-le": "UTF-16",
    "utf-16-be": "UTF-16",
    "utf-32": "UTF-32",
    "cp1252": "Latin-1",
}
CHUNK = 1 << 20


@contextmanager
def unchanged(path: Path) -> Iterator[None]:
    """Raises `DataError` where the file at `path` cannot be read, or has changed while it was."""
    try:
        before = stamp(path)
        yield
        after = stamp(path)
    except OSError as error:
        raise DataError(f"{str(path)!r} cannot be read: {error.strerror or error}") from None
    if after != before:
        raise DataError(f"{str(path)!r} changed while it was read; let it be, then begin anew")


def encoding_of(path: Path) -> str:
    """UTF-8 where the whole file is that; else UTF-16 or UTF-32 by its first bytes, else Latin-1 (cp1252)."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as file:
        head = file.read(CHUNK)
        for mark, encoding in BOMS.items():
            if head.startswith(mark):
                return encoding
        even, odd = head[:4096:2].count(0), head[1:4096:2].count(0)
        if max(even, odd) > min(len(head), 4096) // 5:
            return "utf-16-be" if even > odd else "utf-16-le"
        try:
            while head:
                decoder.decode(head)
                head = file.read(CHUNK)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return "cp1252"
    return "utf-8"


def tell_encoding(encoding: str) -> tuple[str, ...]:
    """One line where an encoding is not what one expects."""
    return (f"read as {NAMES[encoding]}, since it is not UTF-8",) if encoding in NAMES else ()


def read_text(path: Path) -> tuple[str, str]:
    """A text file's content and its encoding; raises `DataError`."""
    with unchanged(path):
        encoding = encoding_of(path)
        content = path.read_bytes()
    return content.decode(encoding, "replace"), encoding
