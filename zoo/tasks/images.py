"""Images to tensors and back: resizing, normalising, augmenting."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms import v2
from torchvision.transforms.v2 import InterpolationMode

from zoo.data.dataset import Columns, Dataset
from zoo.data.splits import Batch
from zoo.errors import DataError
from zoo.specs import ImageInput, ImagePreprocess, ModelSpec, Recipe


def fit_images(dataset: Dataset, spec: ModelSpec, recipe: Recipe) -> ImagePreprocess:
    """Resizing to what the model or the recipe wants; mean and deviation of the training pixels."""
    native = dataset.problem.input
    if not isinstance(native, ImageInput):
        raise DataError(f"data {dataset.name!r} holds no images")
    size = spec.image_size or recipe.image_size
    pixels = np.asarray(dataset.splits["train"]["images"], dtype=np.float32) / 255.0  # [N, C, H, W]
    return ImagePreprocess(
        channels=native.channels,
        height=size or native.height,
        width=size or native.width,
        mean=tuple(round(float(value), 4) for value in pixels.mean(axis=(0, 2, 3))),
        std=tuple(round(max(float(value), 1e-3), 4) for value in pixels.std(axis=(0, 2, 3))),
    )


def encode_images(columns: Columns, preprocess: ImagePreprocess) -> Tensor:
    """uint8 `[N, C, H, W]` to normalised float32 of the model's size and channels."""
    images = torch.as_tensor(np.asarray(columns["images"]))
    if images.shape[1] != preprocess.channels:
        images = images[:, :1].expand(-1, preprocess.channels, -1, -1) if images.shape[1] == 1 else images
        if images.shape[1] != preprocess.channels:
            images = v2.functional.rgb_to_grayscale(images, num_output_channels=preprocess.channels)
    size = [preprocess.height, preprocess.width]
    mode = InterpolationMode(preprocess.interpolation)
    if preprocess.crop_pct < 1:
        larger = [round(side / preprocess.crop_pct) for side in size]
        images = v2.functional.center_crop(
            v2.functional.resize(images, larger, interpolation=mode, antialias=True), size
        )
    else:
        images = v2.functional.resize(images, size, interpolation=mode, antialias=True)
    channels = preprocess.channels
    mean = preprocess.mean if len(preprocess.mean) == channels else preprocess.mean * channels
    std = preprocess.std if len(preprocess.std) == channels else preprocess.std * channels
    normalized: Tensor = v2.functional.normalize(images.float() / 255.0, list(mean), list(std))
    return normalized


def read_images(paths: Sequence[str], preprocess: ImagePreprocess) -> Columns:
    """Image files as uint8 `[N, C, H, W]`, resized to the model's size."""
    return {"images": np.stack([_read_image(Path(path), preprocess) for path in paths])}


def _read_image(path: Path, preprocess: ImagePreprocess) -> np.ndarray:
    try:
        with Image.open(path) as image:
            plain = image.convert("L" if preprocess.channels == 1 else "RGB")
            size = (preprocess.width, preprocess.height)
            pixels = np.asarray(plain.resize(size, Image.Resampling.BILINEAR))
    except FileNotFoundError:
        raise DataError(f"no such image: {str(path)!r}") from None
    except (UnidentifiedImageError, OSError) as error:
        raise DataError(f"{str(path)!r} cannot be read as an image: {error}") from None
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


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
