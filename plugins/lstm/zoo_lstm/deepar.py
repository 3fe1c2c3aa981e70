"""DeepAR (Salinas, Flunkert & Gasthaus, "Probabilistic forecasting with autoregressive networks", 2017)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Normal
from torch.nn import functional as F

import zoo
from zoo_lstm.forecaster import forecast_sizes
from zoo_lstm.normalize import ReversibleNorm, ReversibleScale
from zoo_lstm.recurrent import Plan, read, recurrence
from zoo_lstm.state import State, map_state

SCALINGS: Mapping[str, type[nn.Module]] = {"scale": ReversibleScale, "instance": ReversibleNorm}
NARROWEST = 1e-3  # deviation, as a share of the series' scale


def deepar(
    problem: zoo.Problem,
    *,
    cell: str = "lstm",
    units: int = 40,
    layers: int = 2,
    dropout: float = 0.0,
    normalize: str = "scale",
) -> nn.Module:
    """How each value of a series is distributed, given those before it: `[B, T, C]` to `[B, H, C]`.

    It reads a series value by value and gives mean and deviation of a normal distribution for the next one,
    each channel's by itself; the forecast is what follows when each mean is taken for the value. `sample`
    draws values instead, and `quantiles` says how they spread. `normalize` is how series of different size
    are made alike: by their `scale`, as in the paper, or by `instance`, to one mean and deviation (Kim et
    al. 2022). Counts, for which the paper has another distribution, are taken for numbers.

    A trainer that sees the forecast alone knows no likelihood. So in training the forward adds the gradient
    of the history's: each of its values after the first has been foretold from those before.

    Raises `zoo.SpecError` for a problem without series in and out, or with other channels out than in, and
    for options that do not fit.
    """
    channels, horizon = forecast_sizes(problem, "deepar")
    if normalize not in SCALINGS:
        raise zoo.SpecError("deepar", [f"normalize = {normalize!r}: known: {', '.join(SCALINGS)}"])
    plan = Plan(model="deepar", cell=cell, units=(units,) * layers, dropout=dropout)
    return DeepAR(plan, channels, horizon, SCALINGS[normalize](channels))


@dataclass(frozen=True)
class Belief:
    """How values are thought to be distributed, and the state after those that led to it."""

    mean: Tensor  # [B, T, C]
    deviation: Tensor  # [B, T, C]
    state: State


class DeepAR(nn.Module):
    """Recurrent layers, and two dense ones: for the mean and the deviation of the value that follows."""

    def __init__(self, plan: Plan, channels: int, horizon: int, normalize: nn.Module) -> None:
        super().__init__()
        self.horizon = horizon
        self.normalize = normalize
        self.layers = recurrence(plan, channels)
        self.dropout = nn.Dropout(plan.dropout)
        self.mean = nn.Linear(plan.width, channels)
        self.deviation = nn.Linear(plan.width, channels)

    def forward(self, history: Tensor) -> Tensor:
        """History `[B, T, C]` to the forecast `[B, H, C]`, in training with the likelihood's gradient."""
        normal, scale, level = self.normalize(history)
        belief = self._believe(normal)
        forecast: Tensor = self._follow(belief, lambda mean, deviation: mean) * scale + level
        if not self.training or history.shape[1] < 2:
            return forecast
        spread = _distribution(belief.mean[:, :-1], belief.deviation[:, :-1], scale, level)
        surprise: Tensor = -spread.log_prob(history[:, 1:]).mean()  # type: ignore[no-untyped-call]  # torch's
        guided: Tensor = Guided.apply(forecast, surprise)
        return guided

    def distribution(self, series: Tensor) -> Normal:
        """How the value after each of `series[B, T, C]` is distributed, in the series' own units."""
        normal, scale, level = self.normalize(series)
        belief = self._believe(normal)
        return _distribution(belief.mean, belief.deviation, scale, level)

    @torch.inference_mode()
    def sample(self, history: Tensor, count: int, *, seed: int = 0) -> Tensor:
        """`count` ways in which `history[B, T, C]` may go on, drawn at random: `[count, B, H, C]`.

        Raises `zoo.DataError` for a history with values that are no numbers.
        """
        if not history.isfinite().all():
            raise zoo.DataError(
                f"{int((~history.isfinite()).sum())} of the history's {history.numel()} values are not "
                "finite; fill them in or leave these series out"
            )
        generator = torch.Generator(history.device).manual_seed(seed)
        normal, scale, level = self.normalize(history)
        belief = self._believe(normal)
        many = Belief(
            belief.mean[:, -1:].repeat(count, 1, 1),
            belief.deviation[:, -1:].repeat(count, 1, 1),
            map_state(lambda part: part.repeat(1, count, 1), belief.state),
        )
        drawn = self._follow(many, lambda mean, deviation: torch.normal(mean, deviation, generator=generator))
        ways: Tensor = drawn.reshape(count, *scale.shape[:1], *drawn.shape[1:]) * scale + level
        return ways

    def quantiles(
        self, history: Tensor, levels: Sequence[float] = (0.1, 0.5, 0.9), *, samples: int = 200, seed: int = 0
    ) -> Tensor:
        """Values below which a share `levels` of the samples lie: `[Q, B, H, C]` for `history[B, T, C]`.

        Raises `zoo.DataError` as `sample` does, and for levels that are no shares.
        """
        if wrong := [level for level in levels if not 0 <= level <= 1]:
            raise zoo.DataError(f"quantiles of {wrong}: expected shares from 0 to 1")
        drawn = self.sample(history, samples, seed=seed)
        return drawn.quantile(torch.tensor(levels, dtype=drawn.dtype, device=drawn.device), dim=0)

    def _believe(self, values: Tensor, state: State = None) -> Belief:
        """What follows each of the normalised `values[B, T, C]`."""
        states, state = read(self.layers, values, state=state)
        states = self.dropout(states)
        return Belief(self.mean(states), F.softplus(self.deviation(states)) + NARROWEST, state)

    def _follow(self, belief: Belief, choose: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        """The normalised values `[B, H, C]` that come of choosing each and going on from it."""
        values = [choose(belief.mean[:, -1:], belief.deviation[:, -1:])]
        while len(values) < self.horizon:
            belief = self._believe(values[-1], belief.state)
            values.append(choose(belief.mean, belief.deviation))
        return torch.cat(values, dim=1)


def _distribution(mean: Tensor, deviation: Tensor, scale: Tensor, level: Tensor) -> Normal:
    return Normal(mean * scale + level, deviation * scale.abs(), validate_args=False)


class Guided(torch.autograd.Function):
    """An output as it is, whose loss gains another one in the backward pass.

    The other weighs as much as the loss of the output does in its step, of which a batch may be a piece:
    the gradient of a mean absolute error, to whatever scale, adds up in size to that weight.
    """

    @staticmethod
    def forward(ctx: Any, output: Tensor, loss: Tensor) -> Tensor:
        """The output."""
        return output.view_as(output)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        """The output's gradient, and the weight of the loss."""
        (gradient,) = gradients
        return gradient, gradient.abs().sum()
