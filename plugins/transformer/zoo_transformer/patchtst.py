"""PatchTST (Nie, Nguyen, Sinthong & Kalagnanam, "A time series is worth 64 words", ICLR 2023)."""

from __future__ import annotations

from torch import Tensor, nn

import zoo
from zoo_transformer.block import Transformer
from zoo_transformer.patches import count_patches, cut_patches
from zoo_transformer.problems import check_heads, check_patch, check_same


def patchtst(
    problem: zoo.Problem,
    *,
    dim: int = 64,
    depth: int = 3,
    heads: int = 4,
    patch: int = 16,
    stride: int = 8,
    dropout: float = 0.1,
) -> nn.Module:
    """The paper's forecaster of single channels: history `[B, T, C]` to forecast `[B, H, C]`.

    Every channel is forecast by itself, by the same weights (section 3.1). `patch` is the number of
    steps in a patch and `stride` that from one to the next, `dim` the size of a patch's vector,
    `depth` the number of blocks, `heads` that of attention heads, `dropout` the share of what a block
    adds that is left out. The blocks are this package's, with rotary positions and LayerNorm where the
    paper has learnt positions and batch normalisation.

    Raises `zoo.SpecError` for a problem without series in and out, other channels out than in, a
    history shorter than a patch, or a `dim` that does not divide into heads.
    """
    history, forecast = problem.expect("patchtst", zoo.SeriesInput, zoo.SeriesOutput)
    check_same("patchtst", "channels", history.channels, forecast.channels)
    check_heads("patchtst", dim, heads)
    check_patch("patchtst", history.length, patch, stride)
    patches = count_patches(history.length, patch, stride)
    return PatchTST(patches, forecast.length, dim, depth, heads, patch, stride, dropout)


EPSILON = 1e-5  # of the variance, so that a constant history has a finite one


class PatchTST(nn.Module):
    """An encoder of patches, and one dense layer from all of them to all steps of the forecast."""

    def __init__(
        self,
        patches: int,
        horizon: int,
        dim: int,
        depth: int,
        heads: int,
        patch: int,
        stride: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.patch, self.stride = patch, stride
        self.embedding = nn.Linear(patch, dim)
        self.encoder = Transformer(dim, depth, heads, dropout=dropout)
        self.head = nn.Linear(patches * dim, horizon)

    def forward(self, history: Tensor) -> Tensor:
        """History `[B, T, C]` to forecast `[B, H, C]`, in the units of the history."""
        mean = history.mean(dim=1, keepdim=True)  # [B, 1, C]
        std = (history.var(dim=1, keepdim=True, correction=0) + EPSILON).sqrt()
        series = ((history - mean) / std).transpose(1, 2)  # [B, C, T]
        patches = cut_patches(series, self.patch, self.stride)  # [B, C, N, patch]
        hidden = self.encoder(self.embedding(patches.flatten(0, 1)))  # [B C, N, D]
        forecast = self.head(hidden.flatten(1)).unflatten(0, series.shape[:2])  # [B, C, H]
        # Reversible instance normalisation (Kim et al. 2022), without weights of its own.
        restored: Tensor = forecast.transpose(1, 2) * std + mean
        return restored
