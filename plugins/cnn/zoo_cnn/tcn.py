"""TCN (Bai, Kolter & Koltun 2018, arXiv 1803.01271): causal convolutions for sequences."""

from __future__ import annotations

import math

from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

import zoo


def tcn(problem: zoo.Problem, *, width: int = 64, steps: int = 3, dropout: float = 0.1) -> nn.Module:
    """The paper's temporal convolutional network: history `[B, T, C]` to forecast `[B, H, C]`.

    `width` is the number of feature maps, `steps` how many time steps a convolution sees. Each block
    doubles the distance between them, and there are as many blocks as it takes to see the whole
    history (section 3.3). All H steps are forecast at once, from the last step's features.

    The last value is taken off the history and put back on the forecast: what the network forecasts
    is the change since then, so a level that shifts between training and use does not matter.

    Raises `zoo.SpecError` for a problem without series in and out, or with other channels out than in.
    """
    history, forecast = problem.expect("tcn", zoo.SeriesInput, zoo.SeriesOutput)
    if history.channels != forecast.channels:
        channels = f"{history.channels} channels in and {forecast.channels} out"
        raise zoo.SpecError("tcn", [f"forecasts the channels that it sees, not {channels}"])
    return TCN(history.channels, forecast.length, width, steps, blocks_to_see(history.length, steps), dropout)


def blocks_to_see(length: int, steps: int) -> int:
    """How many blocks see `length` steps: n of them see 1 + 2 (steps - 1) (2^n - 1)."""
    return max(1, math.ceil(math.log2((length - 1) / (2 * (steps - 1)) + 1)))


class TCN(nn.Module):
    """Residual blocks of ever wider causal convolutions, and a dense layer on the last step."""

    def __init__(
        self, channels: int, horizon: int, width: int, steps: int, blocks: int, dropout: float
    ) -> None:
        super().__init__()
        self.horizon = horizon
        self.blocks = nn.Sequential(
            *(Block(width if n else channels, width, steps, 2**n, dropout) for n in range(blocks))
        )
        self.head = nn.Linear(width, horizon * channels)

    def forward(self, history: Tensor) -> Tensor:
        """History `[B, T, C]` to forecast `[B, H, C]`."""
        last = history[:, -1:]  # [B, 1, C]
        features = self.blocks((history - last).transpose(1, 2))  # [B, width, T]
        change: Tensor = self.head(features[:, :, -1]).unflatten(1, (self.horizon, -1))  # [B, H, C]
        return last + change


class Block(nn.Module):
    """Two causal convolutions with a shortcut, `[B, inputs, T]` to `[B, outputs, T]` (figure 1b)."""

    def __init__(self, inputs: int, outputs: int, steps: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            _layer(inputs, outputs, steps, dilation, dropout),
            _layer(outputs, outputs, steps, dilation, dropout),
        )
        self.shortcut = nn.Identity() if inputs == outputs else nn.Conv1d(inputs, outputs, 1)
        self.relu = nn.ReLU()

    def forward(self, features: Tensor) -> Tensor:
        """One step further up; no step sees a later one."""
        out: Tensor = self.relu(self.shortcut(features) + self.residual(features))
        return out


def _layer(inputs: int, outputs: int, steps: int, dilation: int, dropout: float) -> nn.Module:
    return nn.Sequential(
        nn.ZeroPad1d(((steps - 1) * dilation, 0)),  # only the past: nothing is seen before its time
        weight_norm(nn.Conv1d(inputs, outputs, steps, dilation=dilation)),
        nn.ReLU(),
        nn.Dropout1d(dropout),  # whole channels, as in the paper
    )
