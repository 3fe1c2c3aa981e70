"""Images in files: looked through once, decoded when they are needed."""

from __future__ import annotations

import hashlib
import io
import os
import re
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar, overload

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from zoo.errors import DataError, first_line

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm"}
GREY = {"1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L"}
ORIENTATION, SIDEWAYS = 0x0112, 5  # the EXIF tag, and the first of its values that swap width and height
MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # what may not be inside of a JPEG's scan
END_OF_JPEG = b"\xff\xd9"
BEGINNING = 512  # bytes of a JPEG's scan, with which its tables are put to use
FEW = 32  # items that are not worth starting threads for
TOGETHER = 32  # items, at most, that a thread works off before it passes them on
AHEAD = 2  # times as many for each thread may wait for who takes them
Cell = Path | bytes  # an image in a file of its own, or as it stands in a table
T = TypeVar("T")


@dataclass(frozen=True)
class Seen:
    """What one look at an image told: upright width and height, PIL's mode, sha256, and the file's state."""

    size: tuple[int, int]
    mode: str
    digest: str
    stamp: tuple[int, int] | None = None


@dataclass(frozen=True)
class Images(Sequence[NDArray[np.uint8]]):
    """Encoded images, one for each of `rows`; decoded to `channels` (1: grey, 3: colour) when asked for."""

    cells: Sequence[Cell]
    seen: Sequence[Seen]
    rows: NDArray[np.int64]
    channels: int

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, index: int) -> NDArray[np.uint8]: ...
    @overload
    def __getitem__(self, index: slice | NDArray[Any]) -> Images: ...
    def __getitem__(self, index: Any) -> Any:
        """One image as `[C, H, W]`, upright and in its own size; or the images of several rows."""
        if isinstance(index, slice | np.ndarray):
            return replace(self, rows=self.rows[index])
        pixels = np.asarray(self.picture(int(index)))
        return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)

    def picture(self, index: int, *, least: int = 0) -> Image.Image:
        """One image as PIL has it: upright, `L` or `RGB`; raises `DataError` where its file has changed.

        A JPEG may come smaller than it is, with no side below `least`, where that is given.
        """
        row = self.rows[index]
        self._check(row)
        image = decode(self.cells[row], self.channels, least=least)
        self._check(row)  # it may have been written to meanwhile
        return image

    def _check(self, row: int) -> None:
        cell = self.cells[row]
        if isinstance(cell, Path):
            try:
                now = stamp(cell)
            except OSError:
                now = None
            if now != self.seen[row].stamp:
                raise DataError(f"{str(cell)!r} changed after it was looked at; let it be, then begin anew")

    @property
    def digests(self) -> list[str]:
        """sha256 of each encoded image."""
        return [self.seen[row].digest for row in self.rows]

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Width and height of each image, `[N, 2]`."""
        return np.array([self.seen[row].size for row in self.rows], dtype=np.int64).reshape(-1, 2)

    @property
    def modes(self) -> list[str]:
        """PIL's mode of each image."""
        return [self.seen[row].mode for row in self.rows]


def look(cell: Cell) -> Seen | str:
    """Size, mode and hash of an image, or why it cannot be read: found out by decoding, of JPEGs a part."""
    try:
        before = stamp(cell) if isinstance(cell, Path) else None
        content = cell.read_bytes() if isinstance(cell, Path) else cell
        with Image.open(io.BytesIO(content)) as image:
            size, mode = image.size, image.mode
            if image.format == "JPEG" and image.fp:
                _check_jpeg(content, image.fp.tell())
            else:
                image.load()
            if image.getexif().get(ORIENTATION, 1) >= SIDEWAYS:
                size = size[1], size[0]
        if isinstance(cell, Path) and stamp(cell) != before:
            return "it changed while it was read"
    except FileNotFoundError:
        return "there is no such file"
    except Exception as error:  # PIL's decoders raise whatever a broken file leads them to
        return _reason(error)
    return Seen(size, mode, hashlib.sha256(content).hexdigest(), before)


def _check_jpeg(content: bytes, scan: int) -> None:
    """Raises where a JPEG, whose first scan begins at byte `scan`, cannot be decoded.

    What the decoder gives up on inside of a scan is a marker that does not belong there. So a single scan up
    to the image's end is sound where its tables are, which its beginning tells; others are decoded whole.
    """
    marker = MARKER.search(content, scan)
    if marker is not None and marker[0] == END_OF_JPEG:
        content = content[: scan + BEGINNING] + END_OF_JPEG
    with Image.open(io.BytesIO(content)) as image:
        image.draft(None, (1, 1))  # an eighth of its size, which takes half of the time
        image.load()


def decode(cell: Cell, channels: int, *, least: int = 0) -> Image.Image:
    """An image upright, grey (`L`) or in colour (`RGB`); raises `DataError` that names it.

    A JPEG is decoded at a half, a quarter or an eighth of its size where no side falls below `least`.
    """
    try:
        with Image.open(io.BytesIO(cell.read_bytes() if isinstance(cell, Path) else cell)) as image:
            if least and min(image.size) >= 2 * least:  # else a draft only takes longer
                image.draft(None, (least, least))  # None: in its own colours
            image.load()
            ImageOps.exif_transpose(image, in_place=True)
            return _converted(image, "L" if channels == 1 else "RGB")
    except FileNotFoundError:
        raise DataError(f"no such image: {str(cell)!r}") from None
    except Exception as error:  # PIL's decoders raise whatever a broken file leads them to
        name = repr(str(cell)) if isinstance(cell, Path) else "an image of the table"
        raise DataError(f"{name} cannot be read as an image: {_reason(error)}") from None


def stamp(path: Path) -> tuple[int, int]:
    """Size and time of the last change of a file, by which a change is noticed."""
    state = path.stat()
    return state.st_size, state.st_mtime_ns


def in_threads(work: Callable[[Any], T], items: Sequence[Any]) -> list[T]:
    """`work` for every item, in order; PIL and hashing let threads run side by side."""
    with warnings.catch_warnings():  # of large images and odd metadata; what cannot be read is told anyway
        warnings.simplefilter("ignore")
        if len(items) < FEW:
            return [work(item) for item in items]
        return list(in_turn(work, items))


def in_turn(work: Callable[[Any], T], items: Sequence[Any]) -> Iterator[T]:
    """`work` for every item, in order and in threads, a few items ahead of who takes the results."""
    cores = getattr(os, "process_cpu_count", os.cpu_count)() or 1
    together = max(1, min(TOGETHER, len(items) // (4 * cores)))
    waiting: deque[Future[list[T]]] = deque()

    def work_off(start: int) -> list[T]:
        return [work(item) for item in items[start : start + together]]

    with ThreadPoolExecutor(cores) as pool:
        try:
            for start in range(0, len(items), together):
                waiting.append(pool.submit(work_off, start))
                if len(waiting) > AHEAD * cores:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
        finally:  # what nobody takes any more need not be done
            pool.shutdown(wait=False, cancel_futures=True)


def _converted(image: Image.Image, mode: str) -> Image.Image:
    if image.mode.startswith("I"):  # 16 bits a pixel, which PIL would cut off at 255
        depth = np.asarray(image).astype(np.float32)
        image = Image.fromarray(np.rint(np.clip(depth, 0, 65535) / 257).astype(np.uint8))
    elif image.mode == "F":
        raise OSError("its pixels are fractions, whose range is not known; save it with 8 or 16 bits")
    elif image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    return image if image.mode == mode else image.convert(mode)


def _reason(error: Exception) -> str:
    if isinstance(error, Image.DecompressionBombError):
        limit = 2 * (Image.MAX_IMAGE_PIXELS or 0) // 10**6
        return f"it has more than {limit} million pixels; make it smaller"
    if isinstance(error, UnidentifiedImageError):
        return "it is no image"
    return first_line(error)
