"""A folder of class folders of images, as it is or under train, validation and test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from zoo.data.dataset import SPLITS, Dataset
from zoo.data.splitting import SHARES, stratified
from zoo.errors import DataError
from zoo.specs import Classes, ImageInput, Problem

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm"}
LARGEST = 256  # pixels a side: as large as images are kept in memory
ALIASES = {"val": "validation", "valid": "validation"}


def read_image_folder(root: Path) -> Dataset:
    """Every image under `root/CLASS/` or `root/SPLIT/CLASS/`, brought to one size of at most 256 pixels.

    Without splits of its own, 70% of each class train, 15% validate and 15% test. Raises `DataError` for
    a folder without images, a single class, or an image that cannot be read.
    """
    parts = {ALIASES.get(path.name, path.name): path for path in sorted(root.iterdir()) if path.is_dir()}
    given = set(parts) & set(SPLITS)
    if given == set(SPLITS):
        found = {split: _find_images(parts[split]) for split in SPLITS}
    elif given:
        missing = [split for split in SPLITS if split not in given]
        raise DataError(f"{str(root)!r} has {' and '.join(sorted(given))}, but no {' and no '.join(missing)}")
    else:
        found = {"": _find_images(root)}
    names = sorted({name for files in found.values() for _, name in files})
    if not names:
        raise DataError(f"{str(root)!r} holds no class folders of images: expected {root}/CLASS/IMAGE.jpg")
    if len(names) == 1:
        raise DataError(f"{str(root)!r} has a single class, {names[0]!r}; there is nothing to tell apart")
    size, channels = _common_size([path for files in found.values() for path, _ in files])
    read = {split: _read(files, names, size, channels) for split, files in found.items()}
    if "" in read:
        whole = read[""]
        rows = stratified(whole["labels"], SHARES)
        read = {split: {name: column[rows[split]] for name, column in whole.items()} for split in SPLITS}
    problem = Problem(
        task="image-classification",
        input=ImageInput(channels=channels, height=size[1], width=size[0]),
        output=Classes(count=len(names), names=tuple(names)),
        samples=len(read["train"]["labels"]),
    )
    return Dataset(name=root.resolve().name, problem=problem, splits=read)


def _find_images(root: Path) -> list[tuple[Path, str]]:
    return [
        (path, folder.name)
        for folder in sorted(root.iterdir())
        if folder.is_dir()
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in SUFFIXES
    ]


def _common_size(paths: list[Path]) -> tuple[tuple[int, int], int]:
    """The median width and height, at most 256, and 1 channel where every image is grey, else 3."""
    sizes, modes = [], set()
    for path in paths:
        with _opened(path) as image:
            sizes.append(image.size)
            modes.add(image.mode)
    width, height = np.median(np.array(sizes), axis=0)
    shrink = min(1.0, LARGEST / max(width, height))
    return (max(1, round(width * shrink)), max(1, round(height * shrink))), 1 if modes <= {"1", "L"} else 3


def _read(
    files: list[tuple[Path, str]], names: list[str], size: tuple[int, int], channels: int
) -> dict[str, Any]:
    images = np.empty((len(files), channels, size[1], size[0]), dtype=np.uint8)
    for row, (path, _) in enumerate(files):
        with _opened(path) as image:
            try:
                upright = ImageOps.exif_transpose(image).convert("L" if channels == 1 else "RGB")
            except OSError as error:
                raise DataError(f"{str(path)!r} cannot be read as an image: {error}") from None
            pixels = np.asarray(upright.resize(size, Image.Resampling.BILINEAR))
        images[row] = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    return {"images": images, "labels": np.array([names.index(name) for _, name in files], dtype=np.int64)}


def _opened(path: Path) -> Image.Image:
    try:
        return Image.open(path)
    except (UnidentifiedImageError, OSError) as error:
        raise DataError(f"{str(path)!r} cannot be read as an image: {error}") from None
