"""LSTM forecaster (Hochreiter & Schmidhuber 1997): all steps at once from the state after the last value."""

from __future__ import annotations

from torch import Tensor, nn

import zoo
from zoo_lstm.normalize import ReversibleNorm
from zoo_lstm.recurrent import Plan, read, recurrence


def forecaster(
    problem: zoo.Problem,
    *,
    cell: str = "lstm",
    units: int = 64,
    layers: int = 1,
    dropout: float = 0.0,
    normalize: bool = False,
    variational: bool = False,
    weight_dropout: float = 0.0,
    residual: bool = False,
    projection: int = 0,
    remember: int = 0,
) -> nn.Module:
    """Recurrent layers over the history and a dense layer on the last state: `[B, T, C]` to `[B, H, C]`.

    All H steps are forecast at once, none from another's forecast (Chevillon 2007 calls that direct).
    The last value is taken off the history and put back on the forecast: what the network forecasts
    is the change since then, so a level that shifts between training and use does not matter. Nor does
    the scale where `normalize` brings each history to a deviation of 1 (Kim et al. 2022).

    `units` and `layers` give the size of the layers, `dropout` the share of states left out between them and
    before the dense one. The other options are those of `zoo_lstm.recurrent.Plan`.

    Raises `zoo.SpecError` for a problem without series in and out, or with other channels out than in, and
    for options that do not fit.
    """
    channels, horizon = forecast_sizes(problem, "forecaster")
    plan = Plan(
        model="forecaster",
        cell=cell,
        units=(units,) * layers,
        dropout=dropout,
        variational=variational,
        weight_dropout=weight_dropout,
        residual=residual,
        projection=projection,
        remember=remember,
    )
    return Forecaster(plan, channels, horizon, normalize)


def forecast_sizes(problem: zoo.Problem, model: str) -> tuple[int, int]:
    """How many channels there are and how many steps are to come, of the channels that are seen."""
    history, forecast = problem.expect(model, zoo.SeriesInput, zoo.SeriesOutput)
    if history.channels != forecast.channels:
        channels = f"{history.channels} channels in and {forecast.channels} out"
        raise zoo.SpecError(model, [f"forecasts the channels that it sees, not {channels}"])
    return history.channels, forecast.length


class Forecaster(nn.Module):
    """The change since the last value, from the last state."""

    def __init__(self, plan: Plan, channels: int, horizon: int, normalize: bool) -> None:
        super().__init__()
        self.horizon = horizon
        self.normalize = ReversibleNorm(channels) if normalize else None
        self.lstm = recurrence(plan, channels)  # so named since it was nothing else
        self.dropout = nn.Dropout(plan.dropout)
        self.head = nn.Linear(plan.width, horizon * channels)

    def forward(self, history: Tensor) -> Tensor:
        """History `[B, T, C]` to forecast `[B, H, C]`."""
        if self.normalize is None:
            return self._forecast(history)
        normal, scale, level = self.normalize(history)
        forecast: Tensor = self._forecast(normal) * scale + level
        return forecast

    def _forecast(self, history: Tensor) -> Tensor:
        last = history[:, -1:]  # [B, 1, C]
        states, _ = read(self.lstm, history - last)  # [B, T, width]
        change: Tensor = self.head(self.dropout(states[:, -1])).unflatten(1, (self.horizon, -1))  # [B, H, C]
        return last + change
