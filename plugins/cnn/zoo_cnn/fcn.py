"""FCN (Wang, Yan & Oates, "Time series classification from scratch", IJCNN 2017)."""

from __future__ import annotations

from torch import Tensor, nn

import zoo
from zoo_cnn.blocks import series_block


def fcn(problem: zoo.Problem, *, width: int = 128) -> nn.Module:
    """The paper's fully convolutional network: series `[B, T, C]` to logits `[B, K]`.

    Convolutions over 8, 5 and 3 steps with `width`, twice and once as many feature maps, each
    followed by batch normalisation and ReLU (equation 2); then their mean over time and one dense
    layer. No layer depends on the length of the series.

    Raises `zoo.SpecError` for a problem without series or classes.
    """
    series, classes = problem.expect("fcn", zoo.SeriesInput, zoo.Classes)
    return FCN(series.channels, classes.count, width)


class FCN(nn.Module):
    """Three convolutional blocks, averaged over time."""

    def __init__(self, channels: int, classes: int, width: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(
            series_block(channels, width, 8),
            series_block(width, 2 * width, 5),
            series_block(2 * width, width, 3),
        )
        self.head = nn.Linear(width, classes)

    def forward(self, series: Tensor) -> Tensor:
        """Series `[B, T, C]` to logits `[B, K]`."""
        features = self.blocks(series.transpose(1, 2))  # [B, width, T]
        logits: Tensor = self.head(features.mean(dim=2))
        return logits
