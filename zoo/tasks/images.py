"""Images to tensors and back: resizing, normalising, augmenting."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms import v2

from zoo.data.dataset import Columns, Dataset
from zoo.data.frames import decoded, frames_of
from zoo.data.images import Images, Seen, in_threads, look
from zoo.data.splits import Batch, PixelSplit
from zoo.errors import DataError
from zoo.paths import is_file
from zoo.specs import ImageInput, ImagePreprocess, ModelSpec, Recipe

LOOKED_AT = 512  # images of files, spread over the training split, that mean and deviation are taken from
BLOCK = 16  # images whose pixels are counted at once
FEW = 1 << 24  # numbers that a set of images may have to be normalised once and for all


def fit_images(dataset: Dataset, spec: ModelSpec, recipe: Recipe) -> ImagePreprocess:
    """Resizing to what the model or the recipe wants; mean and deviation of the training pixels."""
    native = dataset.problem.input
    if not isinstance(native, ImageInput):
        raise DataError(f"data {dataset.name!r} holds no images")
    size = spec.image_size or recipe.image_size
    shape = ImagePreprocess(
        channels=native.channels, height=size or native.height, width=size or native.width
    )
    images = cast(Images | np.ndarray, dataset.splits["train"]["images"])
    if isinstance(images, Images):
        frames = frames_of(images[:: math.ceil(len(images) / LOOKED_AT)], shape)
        mean, std = mean_and_std(frames.pixels.numpy(), frames.rows.numpy())
    else:
        mean, std = mean_and_std(images, np.arange(len(images)))
    return shape.replace(
        mean=tuple(round(value, 4) for value in mean.tolist()),
        std=tuple(round(max(value, 1e-3), 4) for value in std.tolist()),
    )


def mean_and_std(pixels: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each channel of the images `rows`, as shares of 255: float64 `[C]` each."""
    counts = np.zeros((pixels.shape[1], 256))  # of each channel's 256 levels
    for start in range(0, len(rows), BLOCK):
        for count, channel in zip(counts, pixels[rows[start : start + BLOCK]].swapaxes(0, 1), strict=True):
            count += np.bincount(channel.ravel(), minlength=256)
    levels, shares = np.arange(256) / 255, counts / counts.sum(axis=1, keepdims=True)
    mean = shares @ levels
    return mean, np.sqrt(np.maximum(0, shares @ levels**2 - mean**2))


def encode_images(columns: Columns, preprocess: ImagePreprocess) -> Tensor | PixelSplit:
    """Images in the model's size and channels: few as float32 `[N, C, H, W]`, of many one batch at a time."""
    frames = frames_of(cast(Images | np.ndarray, columns["images"]), preprocess)
    mean, std = (_each(values, preprocess.channels) for values in (preprocess.mean, preprocess.std))
    split = PixelSplit(frames=frames, mean=mean, std=std)
    if frames.mapped or frames.pixels.numel() > FEW:
        return split
    return split.take(frames.rows)["images"]


def _each(values: tuple[float, ...], channels: int) -> Tensor:
    """One value for each channel, `[C, 1, 1]`; a single one holds for all."""
    return torch.tensor(values if len(values) == channels else values * channels)[:, None, None]


def read_images(items: Sequence[str | bytes], preprocess: ImagePreprocess) -> Columns:
    """Image files, or their bytes, decoded and resized; raises `DataError` for one that cannot be read."""
    cells = [item if isinstance(item, bytes) else Path(item) for item in items]
    seen: list[Seen] = []
    for cell, told in zip(cells, in_threads(look, cells), strict=True):
        if isinstance(told, str) and isinstance(cell, Path) and not is_file(cell):
            raise DataError(f"no such image: {str(cell)!r}")
        if isinstance(told, str):
            name = repr(str(cell)) if isinstance(cell, Path) else "an image of the table"
            raise DataError(f"{name} cannot be read as an image: {told}")
        seen.append(told)
    images = Images(cells, seen, np.arange(len(cells)), preprocess.channels)
    return {"images": np.stack(list(decoded(images, preprocess)))}


def augment_images(batch: Batch, recipe: Recipe, classes: int) -> Batch:
    """Each image turned, shifted and zoomed by its own draw; then mixed, where the recipe says so.

    The batch's own images may be overwritten.
    """
    images = batch["images"]
    if recipe.affine:
        images = _random_affine(images, *recipe.affine)
    if recipe.flip:
        flipped = (torch.rand(len(images)) < 0.5).nonzero()[:, 0].to(images.device)
        images = images.index_copy_(0, flipped, images.index_select(0, flipped).flip(-1))
    batch = {**batch, "images": images}
    return _mix(batch, recipe, classes) if recipe.mixup or recipe.cutmix else batch


def _random_affine(images: Tensor, degrees: float, shift: float, zoom: float) -> Tensor:
    count = len(images)
    turn, right, down, scale = (2 * torch.rand(4, count, device=images.device) - 1).unbind()
    angle = turn * (degrees * torch.pi / 180)
    size = 1 + scale * zoom
    cos, sin = torch.cos(angle) * size, torch.sin(angle) * size
    rows = torch.stack([cos, -sin, 2 * shift * right, sin, cos, 2 * shift * down], dim=1)
    grid = F.affine_grid(rows.view(count, 2, 3), list(images.shape), align_corners=False)
    return F.grid_sample(images.float(), grid, mode="bilinear", padding_mode="border", align_corners=False)


def _mix(batch: Batch, recipe: Recipe, classes: int) -> Batch:
    transforms = [
        kind(alpha=alpha, num_classes=classes)
        for kind, alpha in ((v2.MixUp, recipe.mixup), (v2.CutMix, recipe.cutmix))
        if alpha
    ]
    chosen = transforms[int(torch.randint(len(transforms), ()))]
    images, labels = chosen(batch["images"], batch["labels"])
    return {**batch, "images": images, "labels": labels}
