"""The convolutions that several of the networks are made of."""

from __future__ import annotations

from torch import nn


def image_conv(inputs: int, outputs: int, size: int = 3, stride: int = 1) -> nn.Conv2d:
    """`[B, inputs, H, W]` to `[B, outputs, H / stride, W / stride]`, for normalisation to follow.

    So it has no bias, and weights that keep the deviation of what passes back (He et al. 2015, section 2.2).
    """
    layer = nn.Conv2d(inputs, outputs, size, stride=stride, padding=size // 2, bias=False)
    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    return layer


def series_conv(inputs: int, outputs: int, steps: int, *, bias: bool = True) -> list[nn.Module]:
    """`[B, inputs, T]` to `[B, outputs, T]`: as much padding on either side, one step more after the end."""
    return [
        nn.ZeroPad1d(((steps - 1) // 2, steps // 2)),  # padding="same" warns where `steps` is even
        nn.Conv1d(inputs, outputs, steps, bias=bias),
    ]


def series_block(inputs: int, outputs: int, steps: int) -> nn.Sequential:
    """Convolution, batch normalisation and ReLU, `[B, inputs, T]` to `[B, outputs, T]`."""
    return nn.Sequential(*series_conv(inputs, outputs, steps), nn.BatchNorm1d(outputs), nn.ReLU(inplace=True))
