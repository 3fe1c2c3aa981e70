"""Images in the size and colours that a model sees, as bytes: made once, in memory or in a mapped file."""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import sys
import warnings
from collections.abc import Generator, Iterable
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import psutil
import torch
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.progress import track
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import InterpolationMode

from zoo import settings
from zoo.data.cache import keep
from zoo.data.images import Images, in_turn
from zoo.data.memory import has_room, mapped_tensor
from zoo.errors import DataError
from zoo.specs import ImagePreprocess
from zoo.units import format_bytes

FORMAT = "zoo images 2"
COSTLY = 20_000_000  # pixels, from which on decoding takes so long that the result is kept
LARGE = 64 << 20  # bytes, from which on what arrays were resized to is kept
GAP = 2  # times the size that is wanted: what a JPEG is decoded to at least, before it is resized
BLOCK = 256  # images that are resized, or sent to a device, at once
FREE_SHARE = 0.25  # of a device's free memory that the images of a split may take
PIXELS, ABOUT = "pixels.bin", "about.json"
FrameGenerator = Generator[NDArray[np.uint8], None, None]  # each `[C, H, W]`


@dataclass(frozen=True, kw_only=True)
class Frames:
    """uint8 `pixels[M, C, H, W]`, of which `rows` (int64 `[N]`) are the samples."""

    pixels: Tensor
    rows: Tensor
    mapped: bool = False

    def to(self, device: torch.device) -> Frames:
        """The pixels of these samples in the memory of `device`, where it has room for them."""
        size = len(self.rows) * self.pixels[0].numel()
        if device.type == "cpu" or not has_room(device, size, share=FREE_SHARE):
            return self
        pixels = torch.empty((len(self.rows), *self.pixels.shape[1:]), dtype=torch.uint8, device=device)
        for place, chosen in zip(torch.split(pixels, BLOCK), torch.split(self.rows, BLOCK), strict=True):
            place.copy_(self.pixels.index_select(0, chosen))
        return Frames(pixels=pixels, rows=torch.arange(len(self.rows), device=device))


def frames_of(column: Images | NDArray[np.uint8], shape: ImagePreprocess) -> Frames:
    """The images in the size, channels and crop of `shape`; its mean and deviation mean nothing here.

    What takes long to make is kept under `$ZOO_HOME/images`, and found there again. Raises `DataError` for
    an image that cannot be read, or where there is room for the result neither there nor in memory.
    """
    if isinstance(column, Images):
        return _of_images(replace(column, channels=shape.channels), shape)
    return _of_array(column, shape)


def decoded(images: Images, shape: ImagePreprocess) -> FrameGenerator:
    """Each image as `[C, H, W]` of that shape, decoded and resized in threads."""
    cover = max(math.floor(side / shape.crop_pct) for side in (shape.height, shape.width))

    def read(index: int) -> NDArray[np.uint8]:
        picture = images.picture(index, least=GAP * cover)
        if shape.interpolation == "bilinear":
            frame = resize_and_crop(_as_tensor(picture), shape)
        else:  # where torch may be further than a level from PIL
            frame = _as_tensor(resize_and_crop(picture, shape))
        pixels: NDArray[np.uint8] = frame.contiguous().numpy()
        return pixels

    with warnings.catch_warnings():  # of large images and odd metadata; what cannot be read is told anyway
        warnings.simplefilter("ignore")
        yield from in_turn(read, range(len(images)))


def resize_and_crop(image: Any, shape: ImagePreprocess) -> Any:
    """A PIL image or a tensor `[..., H, W]` that covers the size over `crop_pct`, cropped around its middle.

    As timm evaluates: for a square, the shorter side becomes `floor(size / crop_pct)`, with antialiasing.
    """
    size = [shape.height, shape.width]
    mode = InterpolationMode(shape.interpolation)
    cover = [math.floor(side / shape.crop_pct) for side in size]
    if cover[0] == cover[1]:
        resized = cover[:1]  # of the shorter side
    else:
        height, width = v2.functional.get_size(image)
        scale = max(cover[0] / height, cover[1] / width)
        resized = [round(height * scale), round(width * scale)]
    image = v2.functional.resize(image, resized, interpolation=mode, antialias=True)
    return v2.functional.center_crop(image, size)


def _as_tensor(picture: Image.Image) -> Tensor:
    """uint8 `[C, H, W]`, which torch resizes in half the time that PIL takes, to within 1 of 255."""
    pixels = torch.from_numpy(np.array(picture))  # [H, W], or [H, W, C]
    return pixels[None] if pixels.ndim == 2 else pixels.permute(2, 0, 1)


def _of_images(images: Images, shape: ImagePreprocess) -> Frames:
    """Kept for all images of the source, whatever their split: another seed draws from the same file."""
    readable = np.flatnonzero([bool(seen.digest) for seen in images.seen])
    source = replace(images, rows=readable)
    if source.sizes.prod(axis=1).sum() < COSTLY:
        return _in_memory(decoded(images, shape), len(images), shape)
    found = _kept(decoded(source, shape), len(source), shape, source.digests)
    if found is None:
        return _in_memory(decoded(images, shape), len(images), shape)
    return replace(found, rows=torch.from_numpy(np.searchsorted(readable, images.rows)))


def _of_array(array: NDArray[np.uint8], shape: ImagePreprocess) -> Frames:
    rows = torch.arange(len(array))
    if array.shape[2:] == (shape.height, shape.width):
        return Frames(pixels=_with_channels(mapped_tensor(array), shape.channels), rows=rows)
    found = None
    if len(array) * _size(shape) > LARGE:
        content = hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()
        found = _kept(_resized(array, shape), len(array), shape, [content])
    return found or _in_memory(_resized(array, shape), len(array), shape)


def _resized(array: NDArray[np.uint8], shape: ImagePreprocess) -> FrameGenerator:
    for block in torch.split(mapped_tensor(array), BLOCK):
        yield from resize_and_crop(_with_channels(block, shape.channels), shape).numpy()


def _with_channels(images: Tensor, channels: int) -> Tensor:
    """`[N, C, H, W]` with grey repeated, or colours made grey, where the model wants other channels."""
    if images.shape[1] == channels:
        return images
    if images.shape[1] == 1:
        return images.expand(-1, channels, -1, -1)
    grey: Tensor = v2.functional.rgb_to_grayscale(images, num_output_channels=channels)
    return grey


def _in_memory(frames: Iterable[NDArray[np.uint8]], count: int, shape: ImagePreprocess) -> Frames:
    pixels = torch.empty(count, shape.channels, shape.height, shape.width, dtype=torch.uint8)
    for place, frame in zip(pixels.numpy(), frames, strict=True):
        place[:] = frame
    return Frames(pixels=pixels, rows=torch.arange(count))


def _size(shape: ImagePreprocess) -> int:
    return shape.channels * shape.height * shape.width


# -- files ------------------------------------------------------------------------------------


class _About(msgspec.Struct, frozen=True, kw_only=True):
    """What a folder of frames holds."""

    shape: tuple[int, int, int, int]


def _kept(frames: FrameGenerator, count: int, shape: ImagePreprocess, digests: list[str]) -> Frames | None:
    """All frames of a source as a mapped file; None where there is no room for it but in memory."""
    size = shape.channels, shape.height, shape.width
    key = hashlib.sha256(f"{FORMAT} {size} {shape.interpolation} {shape.crop_pct}".encode())
    for digest in digests:
        key.update(digest.encode())
    needed = count * _size(shape)
    write = partial(_write, frames=frames, count=count, shape=shape)
    try:
        folder = keep("images", key.hexdigest(), write, size=needed)
    except OSError as error:
        _check_memory(needed, error)
        return None
    try:
        about = msgspec.json.decode((folder / ABOUT).read_bytes(), type=_About)
        pixels = np.memmap(folder / PIXELS, dtype=np.uint8, mode="r", shape=about.shape)
    except (OSError, ValueError, msgspec.MsgspecError) as error:
        raise DataError(f"{str(folder)!r} is damaged ({error}); remove it, then begin anew") from None
    return Frames(pixels=mapped_tensor(pixels), rows=torch.arange(count), mapped=True)


def _write(folder: Path, *, frames: FrameGenerator, count: int, shape: ImagePreprocess) -> None:
    console = Console(stderr=True)
    silent = settings.quiet() or not console.is_terminal
    with (folder / PIXELS).open("wb") as file, contextlib.closing(frames):
        if hasattr(os, "posix_fallocate"):  # so that it comes out now where there is no room
            os.posix_fallocate(file.fileno(), 0, count * _size(shape))
        for frame in track(frames, "images", total=count, console=console, transient=True, disable=silent):
            file.write(frame.data)
    about = _About(shape=(count, shape.channels, shape.height, shape.width))
    (folder / ABOUT).write_bytes(msgspec.json.encode(about))


def _check_memory(needed: int, error: OSError) -> None:
    """Says that nothing is kept for the next time; raises `DataError` where memory is too small, too."""
    home, free = str(settings.home() / "images"), psutil.virtual_memory().available
    why = f"the resized images, {format_bytes(needed)}, cannot be kept in {home!r}: {error.strerror or error}"
    if needed > free // 2:
        raise DataError(
            f"{why}, and are too many for the {format_bytes(free)} of free memory; make room there, or set "
            "ZOO_HOME to another folder"
        ) from None
    _tell(f"zoo: {why}; they stay in memory, and will be made anew next time")


@cache
def _tell(line: str) -> None:
    """A line on stderr, once for all splits."""
    if not settings.quiet():
        print(line, file=sys.stderr)  # noqa: T201
