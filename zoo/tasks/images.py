"""Images to tensors and back: resizing, normalising, augmenting."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms import v2
from torchvision.transforms.v2 import InterpolationMode

from zoo.data.dataset import Columns, Dataset
from zoo.data.images import Images, Seen, in_threads, look
from zoo.data.splits import Batch
from zoo.errors import DataError
from zoo.specs import ImageInput, ImagePreprocess, ModelSpec, Recipe

LOOKED_AT = 512  # images of files, spread over the training split, that mean and deviation are taken from


def fit_images(dataset: Dataset, spec: ModelSpec, recipe: Recipe) -> ImagePreprocess:
    """Resizing to what the model or the recipe wants; mean and deviation of the training pixels."""
    native = dataset.problem.input
    if not isinstance(native, ImageInput):
        raise DataError(f"data {dataset.name!r} holds no images")
    size = spec.image_size or recipe.image_size
    shape = ImagePreprocess(
        channels=native.channels, height=size or native.height, width=size or native.width
    )
    images = dataset.splits["train"]["images"]
    if isinstance(images, Images):
        pixels = _decoded(images[:: math.ceil(len(images) / LOOKED_AT)], shape)
    else:
        pixels = np.asarray(images)
    values = pixels.astype(np.float32) / 255.0  # [N, C, H, W]
    return shape.replace(
        mean=tuple(round(float(value), 4) for value in values.mean(axis=(0, 2, 3))),
        std=tuple(round(max(float(value), 1e-3), 4) for value in values.std(axis=(0, 2, 3))),
    )


def encode_images(columns: Columns, preprocess: ImagePreprocess) -> Tensor:
    """Images to normalised float32 `[N, C, H, W]` of the model's size and channels."""
    column, channels = columns["images"], preprocess.channels
    if isinstance(column, Images):
        images = torch.from_numpy(_decoded(replace(column, channels=channels), preprocess))
    else:
        images = resize_and_crop(_with_channels(torch.as_tensor(np.asarray(column)), channels), preprocess)
    mean = preprocess.mean if len(preprocess.mean) == channels else preprocess.mean * channels
    std = preprocess.std if len(preprocess.std) == channels else preprocess.std * channels
    normalized: Tensor = v2.functional.normalize(images.float() / 255.0, list(mean), list(std))
    return normalized


def resize_and_crop(image: Any, preprocess: ImagePreprocess) -> Any:
    """A PIL image or a tensor `[..., H, W]` that covers the size over `crop_pct`, cropped around its middle.

    As timm evaluates: for a square, the shorter side becomes `floor(size / crop_pct)`, with antialiasing.
    """
    size = [preprocess.height, preprocess.width]
    mode = InterpolationMode(preprocess.interpolation)
    cover = [math.floor(side / preprocess.crop_pct) for side in size]
    if cover[0] == cover[1]:
        resized = cover[:1]  # of the shorter side
    else:
        height, width = v2.functional.get_size(image)
        scale = max(cover[0] / height, cover[1] / width)
        resized = [round(height * scale), round(width * scale)]
    image = v2.functional.resize(image, resized, interpolation=mode, antialias=True)
    return v2.functional.center_crop(image, size)


def read_images(paths: Sequence[str], preprocess: ImagePreprocess) -> Columns:
    """Image files, looked at; raises `DataError` that names one that cannot be read."""
    cells = [Path(path) for path in paths]
    seen: list[Seen] = []
    for cell, told in zip(cells, in_threads(look, cells), strict=True):
        if isinstance(told, str) and not cell.is_file():
            raise DataError(f"no such image: {str(cell)!r}")
        if isinstance(told, str):
            raise DataError(f"{str(cell)!r} cannot be read as an image: {told}")
        seen.append(told)
    return {"images": Images(cells, seen, np.arange(len(cells)), preprocess.channels)}


def _decoded(images: Images, preprocess: ImagePreprocess) -> np.ndarray:
    """uint8 `[N, C, H, W]` of the model's size."""

    def read(row: int) -> np.ndarray:
        pixels = np.asarray(resize_and_crop(images.picture(row), preprocess))
        return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)

    return np.stack(in_threads(read, range(len(images))))


def _with_channels(images: Tensor, channels: int) -> Tensor:
    """`[N, C, H, W]` with grey repeated, or colours made grey, where the model wants other channels."""
    if images.shape[1] == channels:
        return images
    if images.shape[1] == 1:
        return images.expand(-1, channels, -1, -1)
    grey: Tensor = v2.functional.rgb_to_grayscale(images, num_output_channels=channels)
    return grey


def augment_images(batch: Batch, recipe: Recipe, classes: int) -> Batch:
    """Each image turned, shifted and zoomed by its own draw; then mixed, where the recipe says so."""
    images = batch["images"]
    if recipe.affine:
        images = _random_affine(images, *recipe.affine)
    if recipe.flip:
        flipped = torch.rand(len(images), 1, 1, 1, device=images.device) < 0.5
        images = torch.where(flipped, images.flip(-1), images)
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
