"""LSTM forecaster (Hochreiter & Schmidhuber 1997): all steps at once from the state after the last value."""

from __future__ import annotations

from torch import Tensor, nn

import zoo
from zoo_lstm.recurrent import lstm, run_lstm


def forecaster(problem: zoo.Problem, *, units: int = 64, layers: int = 1, dropout: float = 0.0) -> nn.Module:
    """An LSTM over the history and a dense layer on its last state: `[B, T, C]` to `[B, H, C]`.

    All H steps are forecast at once, none from another's forecast (Chevillon 2007 calls that direct).
    The last value is taken off the history and put back on the forecast: what the network forecasts
    is the change since then, so a level that shifts between training and use does not matter.

    `units` and `layers` give the size of the LSTM, `dropout` the share of its states left out between
    layers and before the dense one.

    Raises `zoo.SpecError` for a problem without series in and out, or with other channels out than in.
    """
    history, forecast = problem.expect("forecaster", zoo.SeriesInput, zoo.SeriesOutput)
    if history.channels != forecast.channels:
        channels = f"{history.channels} channels in and {forecast.channels} out"
        raise zoo.SpecError("forecaster", [f"forecasts the channels that it sees, not {channels}"])
    return Forecaster(history.channels, forecast.length, units, layers, dropout)


class Forecaster(nn.Module):
    """The change since the last value, from the LSTM's last state."""

    def __init__(self, channels: int, horizon: int, units: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.horizon = horizon
        self.lstm = lstm(channels, units, layers=layers, dropout=dropout)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(units, horizon * channels)

    def forward(self, history: Tensor) -> Tensor:
        """History `[B, T, C]` to forecast `[B, H, C]`."""
        last = history[:, -1:]  # [B, 1, C]
        states = run_lstm(self.lstm, history - last)  # [B, T, units]
        change: Tensor = self.head(self.dropout(states[:, -1])).unflatten(1, (self.horizon, -1))  # [B, H, C]
        return last + change
