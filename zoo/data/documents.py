"""Text files as documents, however large: looked through once, read piece by piece when they are needed."""

from __future__ import annotations

import codecs
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from zoo.data.images import stamp
from zoo.data.sources.files import CHUNK, encoding_of, unchanged
from zoo.errors import DataError


@dataclass(frozen=True, kw_only=True)
class Passage:
    """The characters `start` to `stop` of a text file, which make `size` bytes of UTF-8."""

    path: Path
    encoding: str
    stamp: tuple[int, int]
    digest: str
    start: int
    stop: int
    size: int
    blank: bool

    def blocks(self) -> Iterator[str]:
        """The passage in blocks of some megabyte; raises `DataError` where its file has changed."""
        with unchanged(self.path):
            if stamp(self.path) != self.stamp:
                raise DataError(
                    f"{str(self.path)!r} changed after it was looked at; let it be, then begin anew"
                )
            place = 0
            for block in _decoded(self.path, self.encoding):
                yield block[max(0, self.start - place) : max(0, self.stop - place)]
                place += len(block)
                if place >= self.stop:
                    break

    def parts(self, stops: Sequence[int]) -> list[Passage]:
        """The passage cut after so many characters: one part more than there are stops."""
        bounds = [self.start, *(self.start + stop for stop in stops), self.stop]
        parts = [replace(self, start=start, stop=stop) for start, stop in pairwise(bounds)]
        return [replace(part, size=sum(map(_bytes_in, part.blocks()))) for part in parts]


@dataclass(frozen=True)
class Documents(Sequence[str]):
    """Passages as a column of texts, each read when it is asked for."""

    passages: tuple[Passage, ...]

    def __len__(self) -> int:
        return len(self.passages)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice | NDArray[Any]) -> Documents: ...
    def __getitem__(self, index: Any) -> Any:
        """One whole text, or the documents of several rows."""
        if isinstance(index, slice | np.ndarray):
            return Documents(tuple(self.passages[row] for row in np.arange(len(self))[index]))
        return "".join(self.passages[int(index)].blocks())

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Bytes of each text, as UTF-8."""
        return np.array([passage.size for passage in self.passages], dtype=np.int64)

    @property
    def digests(self) -> list[str]:
        """What tells each text from others: its file's sha256 and its place in it."""
        return [f"{passage.digest}:{passage.start}:{passage.stop}" for passage in self.passages]


def look_at(path: Path) -> Passage:
    """A whole text file as a passage; raises `DataError` where it cannot be read."""
    digest, characters, size, blank = hashlib.sha256(), 0, 0, True
    with unchanged(path):
        seen = stamp(path)
        encoding = encoding_of(path)
        for block in _decoded(path, encoding):
            content = block.encode("utf-8", "replace")
            digest.update(content)
            characters, size = characters + len(block), size + len(content)
            blank = blank and not block.strip()
    return Passage(
        path=path,
        encoding=encoding,
        stamp=seen,
        digest=digest.hexdigest(),
        start=0,
        stop=characters,
        size=size,
        blank=blank,
    )


def cut(blocks: Iterable[str], size: int) -> Iterator[str]:
    """Blocks that make one text, anew in pieces of at most `size` characters that begin with white space.

    At least one, which may be empty; a piece without white space is cut anywhere.
    """
    rest = ""
    for block in blocks:
        text, start = rest + block, 0
        while len(text) - start > size:
            stop = max(text.rfind(space, start + 1, start + size) for space in " \n")
            stop = stop if stop > 0 else start + size
            yield text[start:stop]
            start = stop
        rest = text[start:]
    yield rest


def _decoded(path: Path, encoding: str) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield decoder.decode(chunk)
    yield decoder.decode(b"", final=True)


def _bytes_in(text: str) -> int:
    return len(text.encode("utf-8", "replace"))
