"""ViT (Dosovitskiy et al., "An image is worth 16x16 words", ICLR 2021), for small images."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import zoo
from zoo_transformer.block import Transformer
from zoo_transformer.problems import check_heads

GRID = 8  # patches along the longer side, unless said otherwise
BASE = 100.0  # of the rotary positions: distances are short in a small image


def vit(
    problem: zoo.Problem,
    *,
    dim: int = 64,
    depth: int = 4,
    heads: int = 4,
    patch: int | None = None,
    dropout: float = 0.0,
) -> nn.Module:
    """Images `[B, C, H, W]` to logits `[B, K]`.

    `patch` is the side of a patch in pixels, by default an eighth of the longer side and at least 2; `dim`
    the size of a patch's vector, `depth` the number of blocks, `heads` that of attention heads,
    `dropout` the share of what a block adds that is left out. Where the paper has learnt positions and
    a class token, this has rotary positions along both axes (Heo et al. 2024, section 3.2), which need
    not be learnt from few images, and the mean over all patches. Images that do not divide into
    patches get a border of zeros on the right and below.

    Raises `zoo.SpecError` for a problem without images or classes, or a `dim` that does not divide into
    heads.
    """
    image, classes = problem.expect("vit", zoo.ImageInput, zoo.Classes)
    check_heads("vit", dim, heads, axes=2)
    patch = patch or max(2, math.ceil(max(image.height, image.width) / GRID))
    return ViT(image.channels, classes.count, dim, depth, heads, patch, dropout)


class ViT(nn.Module):
    """An encoder of patches, averaged over the image."""

    def __init__(
        self, channels: int, classes: int, dim: int, depth: int, heads: int, patch: int, dropout: float
    ) -> None:
        super().__init__()
        self.patch = patch
        self.embedding = nn.Conv2d(channels, dim, patch, patch)
        self.encoder = Transformer(dim, depth, heads, dropout=dropout, base=BASE)
        self.head = nn.Linear(dim, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Images `[B, C, H, W]` to logits `[B, K]`."""
        below, right = (-side % self.patch for side in images.shape[2:])
        grid = self.embedding(F.pad(images, (0, right, 0, below)))  # [B, D, rows, columns]
        positions = grid_positions(grid.shape[2], grid.shape[3], grid.device)
        hidden = self.encoder(grid.flatten(2).transpose(1, 2), positions=positions)  # [B, N, D]
        logits: Tensor = self.head(hidden.mean(dim=1))
        return logits


def grid_positions(rows: int, columns: int, device: torch.device | None = None) -> Tensor:
    """Row and column of each element of a grid, row by row: `[rows x columns, 2]`."""
    return torch.cartesian_prod(torch.arange(rows, device=device), torch.arange(columns, device=device))
