"""A classifier of series: patches as in PatchTST (Nie et al. 2023), an encoder over them, their mean."""

from __future__ import annotations

from torch import Tensor, nn

import zoo
from zoo_transformer.block import Transformer
from zoo_transformer.patches import cut_patches
from zoo_transformer.problems import check_heads, check_patch


def series_classifier(
    problem: zoo.Problem,
    *,
    dim: int = 64,
    depth: int = 2,
    heads: int = 4,
    patch: int = 8,
    stride: int = 4,
    dropout: float = 0.2,
) -> nn.Module:
    """Series `[B, T, C]` to logits `[B, K]`.

    `patch` is the number of steps in a patch, of all channels together, and `stride` that from one to
    the next; `dim` the size of a patch's vector, `depth` the number of blocks, `heads` that of attention
    heads, `dropout` the share of what a block adds that is left out. No layer depends on the length
    of the series.

    Raises `zoo.SpecError` for a problem without series or classes, series shorter than a patch, or a
    `dim` that does not divide into heads.
    """
    series, classes = problem.expect("series_classifier", zoo.SeriesInput, zoo.Classes)
    check_heads("series_classifier", dim, heads)
    check_patch("series_classifier", series.length, patch, stride)
    return SeriesClassifier(series.channels, classes.count, dim, depth, heads, patch, stride, dropout)


class SeriesClassifier(nn.Module):
    """An encoder of patches, averaged over time."""

    def __init__(
        self,
        channels: int,
        classes: int,
        dim: int,
        depth: int,
        heads: int,
        patch: int,
        stride: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.patch, self.stride = patch, stride
        self.embedding = nn.Linear(channels * patch, dim)
        self.encoder = Transformer(dim, depth, heads, dropout=dropout)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(dim, classes)

    def forward(self, series: Tensor) -> Tensor:
        """Series `[B, T, C]` to logits `[B, K]`."""
        patches = cut_patches(series.transpose(1, 2), self.patch, self.stride)  # [B, C, N, patch]
        hidden = self.embedding(patches.transpose(1, 2).flatten(2))  # [B, N, D]
        mean = self.encoder(hidden).mean(dim=1)  # [B, D]
        logits: Tensor = self.head(self.dropout(mean))
        return logits
