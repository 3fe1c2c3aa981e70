"""Series brought to one level and scale before a network, and back after it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

SMALLEST = 1e-5  # deviation that a series is divided by


class ReversibleNorm(nn.Module):
    """Reversible instance normalisation (Kim et al. 2022): each series to mean 0 and deviation 1.

    Then to a scale and level that are learnt for each channel, which begin as they are.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(channels))
        self.shift = nn.Parameter(torch.zeros(channels))

    def forward(self, history: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """`history[B, T, C]` as `normal * scale + level`: those three, the latter `[B, 1, C]`."""
        mean = history.mean(dim=1, keepdim=True)
        deviation = (history.var(dim=1, keepdim=True, correction=0) + SMALLEST**2).sqrt()
        scale = deviation / self.gain
        level = mean - self.shift * scale
        return (history - level) / scale, scale, level


class ReversibleScale(nn.Module):
    """Each series divided by the mean size of its values, plus one (Salinas et al. 2017, section 3.3)."""

    def __init__(self, channels: int) -> None:
        super().__init__()

    def forward(self, history: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """`history[B, T, C]` as `normal * scale + level`: those three, the latter `[B, 1, C]` and 0."""
        scale = 1 + history.abs().mean(dim=1, keepdim=True)
        return history / scale, scale, torch.zeros_like(scale)
