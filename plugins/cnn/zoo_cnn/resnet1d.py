"""ResNet for series (Wang, Yan & Oates, "Time series classification from scratch", IJCNN 2017)."""

from __future__ import annotations

from torch import Tensor, nn

import zoo
from zoo_cnn.blocks import series_block, series_conv


def resnet1d(problem: zoo.Problem, *, width: int = 64) -> nn.Module:
    """The paper's residual network: series `[B, T, C]` to logits `[B, K]`.

    Three residual blocks of `width`, twice and twice as many feature maps, each with convolutions over
    8, 5 and 3 steps (equation 3); then their mean over time and one dense layer. No layer depends on
    the length of the series.

    Raises `zoo.SpecError` for a problem without series or classes.
    """
    series, classes = problem.expect("resnet1d", zoo.SeriesInput, zoo.Classes)
    return ResNet1d(series.channels, classes.count, width)


class ResNet1d(nn.Module):
    """Three residual blocks, averaged over time."""

    def __init__(self, channels: int, classes: int, width: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(
            Block(channels, width), Block(width, 2 * width), Block(2 * width, 2 * width)
        )
        self.head = nn.Linear(2 * width, classes)

    def forward(self, series: Tensor) -> Tensor:
        """Series `[B, T, C]` to logits `[B, K]`."""
        features = self.blocks(series.transpose(1, 2))  # [B, 2 width, T]
        logits: Tensor = self.head(features.mean(dim=2))
        return logits


class Block(nn.Module):
    """Three convolutions over a normalised shortcut, `[B, inputs, T]` to `[B, outputs, T]` (figure 1c)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            series_block(inputs, outputs, 8),
            series_block(outputs, outputs, 5),
            *series_conv(outputs, outputs, 3),
            nn.BatchNorm1d(outputs),
        )
        widen = [] if inputs == outputs else [nn.Conv1d(inputs, outputs, 1)]
        self.shortcut = nn.Sequential(*widen, nn.BatchNorm1d(outputs))

    def forward(self, features: Tensor) -> Tensor:
        """`[B, inputs, T]` to `[B, outputs, T]`."""
        out: Tensor = (self.residual(features) + self.shortcut(features)).relu()
        return out
