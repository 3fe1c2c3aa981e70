"""InceptionTime (Fawaz et al. 2020, arXiv 1909.04939): convolutions over long, middling and short spans."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

import zoo
from zoo_cnn.blocks import series_conv

MODULES = 3  # under one shortcut


def inception_time(
    problem: zoo.Problem,
    *,
    ensemble: int = 1,
    width: int = 32,
    blocks: int = 2,
    steps: Sequence[int] = (40, 20, 10),
) -> nn.Module:
    """The paper's Inception networks: series `[B, T, C]` to logits `[B, K]`.

    `width` is the number of feature maps of each convolution, `steps` how many time steps those side
    by side see, and `blocks` how many residual blocks of three inception modules there are. No layer
    depends on the length of the series.

    `ensemble` networks answer together, by the mean of their probabilities: the logits are
    the logarithm of that mean. The paper's InceptionTime is five, each trained by itself; here they are
    trained together, by the loss of what they say together. One is the default, at a fifth of the cost.

    Raises `zoo.SpecError` for a problem without series or classes.
    """
    series, classes = problem.expect("inception_time", zoo.SeriesInput, zoo.Classes)
    if ensemble < 1:
        raise zoo.SpecError("inception_time", [f"ensemble = {ensemble}: expected 1 network or more"])
    return InceptionTime(series.channels, classes.count, ensemble, width, blocks, steps)


class InceptionTime(nn.Module):
    """Networks of one shape side by side, each with a dense layer of its own."""

    def __init__(
        self, channels: int, classes: int, ensemble: int, width: int, blocks: int, steps: Sequence[int]
    ) -> None:
        super().__init__()
        outputs = width * (len(steps) + 1)
        self.networks = nn.ModuleList(_network(channels, width, blocks, steps) for _ in range(ensemble))
        self.head = nn.ModuleList(nn.Linear(outputs, classes) for _ in range(ensemble))

    def forward(self, series: Tensor) -> Tensor:
        """Series `[B, T, C]` to logits `[B, K]`."""
        series = series.transpose(1, 2)  # [B, C, T]
        answers = [
            head(network(series).mean(dim=2)).log_softmax(dim=1)  # [B, K]
            for network, head in zip(self.networks, self.head, strict=True)
        ]
        return torch.stack(answers).logsumexp(dim=0) - math.log(len(answers))


def _network(channels: int, width: int, blocks: int, steps: Sequence[int]) -> nn.Module:
    """`[B, channels, T]` to `[B, outputs, T]`."""
    outputs = width * (len(steps) + 1)
    return nn.Sequential(*(Block(outputs if n else channels, width, steps) for n in range(blocks)))


class Block(nn.Module):
    """Three inception modules over a shortcut, `[B, inputs, T]` to `[B, outputs, T]` (figure 1)."""

    def __init__(self, inputs: int, width: int, steps: Sequence[int]) -> None:
        super().__init__()
        outputs = width * (len(steps) + 1)
        self.residual = nn.Sequential(
            *(Inception(outputs if n else inputs, width, steps) for n in range(MODULES))
        )
        self.shortcut = nn.Sequential(nn.Conv1d(inputs, outputs, 1, bias=False), nn.BatchNorm1d(outputs))

    def forward(self, features: Tensor) -> Tensor:
        """`[B, inputs, T]` to `[B, outputs, T]`."""
        out: Tensor = (self.residual(features) + self.shortcut(features)).relu()
        return out


class Inception(nn.Module):
    """Convolutions and a maximum side by side, `[B, inputs, T]` to `[B, outputs, T]` (figure 2)."""

    def __init__(self, inputs: int, width: int, steps: Sequence[int]) -> None:
        super().__init__()
        narrow = inputs > 1  # a single channel cannot become fewer
        self.bottleneck = nn.Conv1d(inputs, width, 1, bias=False) if narrow else nn.Identity()
        self.convolutions = nn.ModuleList(
            nn.Sequential(*series_conv(width if narrow else inputs, width, count, bias=False))
            for count in steps
        )
        self.peak = nn.Sequential(
            nn.MaxPool1d(3, stride=1, padding=1), nn.Conv1d(inputs, width, 1, bias=False)
        )
        self.norm = nn.BatchNorm1d(width * (len(steps) + 1))

    def forward(self, features: Tensor) -> Tensor:
        """`[B, inputs, T]` to `[B, outputs, T]`."""
        reduced = self.bottleneck(features)
        spans = [convolution(reduced) for convolution in self.convolutions]
        out: Tensor = self.norm(torch.cat([*spans, self.peak(features)], dim=1)).relu()
        return out
