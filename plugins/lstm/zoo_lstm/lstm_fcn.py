"""LSTM-FCN and ALSTM-FCN (Karim, Majumdar, Darabi & Chen, "LSTM fully convolutional networks", 2018)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

import zoo
from zoo_lstm.cells import lstm, run


def lstm_fcn(
    problem: zoo.Problem, *, units: int = 8, width: int = 128, dropout: float = 0.8, shuffle: bool = True
) -> nn.Module:
    """Convolutions and an LSTM side by side over a series: `[B, T, C]` to logits `[B, K]`.

    Convolutions over 8, 5 and 3 steps with `width`, twice and once as many feature maps, each followed by
    batch normalisation and ReLU, then their mean over time. Beside them an LSTM of `units` and `dropout` on
    its last state. With the paper's dimension `shuffle` it takes each channel for one step of T values: it
    sees the whole series at once, and is made for its length. Without, it reads the series over time.

    Raises `zoo.SpecError` for a problem without series or classes.
    """
    series, classes = problem.expect("lstm_fcn", zoo.SeriesInput, zoo.Classes)
    inputs, _ = _turned(series, shuffle)
    return LSTMFCN(lstm(inputs, units), series, classes.count, units, width, dropout, shuffle)


def alstm_fcn(
    problem: zoo.Problem, *, units: int = 8, width: int = 128, dropout: float = 0.8, shuffle: bool = True
) -> nn.Module:
    """`lstm_fcn` whose LSTM looks at all of its input before each step, with attention: to logits `[B, K]`.

    With the dimension `shuffle` a series of one channel is one step: there is nothing to choose from, and
    what attention finds is that step.

    Raises `zoo.SpecError` for a problem without series or classes.
    """
    series, classes = problem.expect("alstm_fcn", zoo.SeriesInput, zoo.Classes)
    inputs, steps = _turned(series, shuffle)
    recurrent = AttentionLSTM(inputs, units, choice=steps > 1)
    return LSTMFCN(recurrent, series, classes.count, units, width, dropout, shuffle)


def _turned(series: zoo.SeriesInput, shuffle: bool) -> tuple[int, int]:
    """How many numbers a step of the LSTM's input has, and how many steps there are."""
    return (series.length, series.channels) if shuffle else (series.channels, series.length)


class LSTMFCN(nn.Module):
    """Three convolutional blocks and a recurrent layer, of which one dense layer makes classes."""

    def __init__(
        self,
        recurrent: nn.Module,
        series: zoo.SeriesInput,
        classes: int,
        units: int,
        width: int,
        dropout: float,
        shuffle: bool,
    ) -> None:
        super().__init__()
        self.length = series.length if shuffle else None
        self.blocks = nn.Sequential(
            _block(series.channels, width, 8), _block(width, 2 * width, 5), _block(2 * width, width, 3)
        )
        self.lstm = recurrent
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(width + units, classes)

    def forward(self, series: Tensor) -> Tensor:
        """Series `[B, T, C]` to logits `[B, K]`; raises `zoo.DataError` for a T that it is not made for."""
        channels = series.transpose(1, 2)  # [B, C, T]
        if self.length not in (None, series.shape[1]):
            raise zoo.DataError(
                f"series of {series.shape[1]} steps for a model of {self.length}; cut or pad them, or build "
                "it with shuffle=False, for any length"
            )
        features = self.blocks(channels).mean(dim=2)  # [B, width]
        states, _ = run(self.lstm, series if self.length is None else channels)
        logits: Tensor = self.head(torch.cat([features, self.dropout(states[:, -1])], dim=1))
        return logits


def _block(inputs: int, outputs: int, steps: int) -> nn.Module:
    """`[B, inputs, T]` to `[B, outputs, T]`; weights start as in the paper (He et al. 2015)."""
    convolution = nn.Conv1d(inputs, outputs, steps)
    nn.init.kaiming_uniform_(convolution.weight, nonlinearity="relu")
    pad = nn.ZeroPad1d(((steps - 1) // 2, steps // 2))  # padding="same" warns where `steps` is even
    return nn.Sequential(pad, convolution, nn.BatchNorm1d(outputs), nn.ReLU(inplace=True))


class AttentionLSTM(nn.Module):
    """An LSTM that reads, with each step, a mean of all steps, weighed by its own state (Bahdanau 2015)."""

    def __init__(self, inputs: int, units: int, *, choice: bool) -> None:
        super().__init__()
        self.cell = nn.LSTMCell(2 * inputs, units)
        nn.init.zeros_(self.cell.bias_hh)
        nn.init.zeros_(self.cell.bias_ih)
        nn.init.ones_(self.cell.bias_ih[units : 2 * units])  # forget gates
        self.query = nn.Linear(units, units, bias=False) if choice else None
        self.keys = nn.Linear(inputs, units) if choice else None
        self.score = nn.Linear(units, 1, bias=False) if choice else None

    def forward(self, sequence: Tensor, state: None = None) -> tuple[Tensor, Tensor]:
        """`[B, T, inputs]` to states `[B, T, units]`, and the last."""
        hidden = memory = sequence.new_zeros(sequence.shape[0], self.cell.hidden_size)
        keys = self.keys(sequence) if self.keys is not None else sequence  # [B, T, units]
        states = []
        for step in sequence.unbind(dim=1):
            found = self._find(hidden, keys, sequence)  # [B, inputs]
            hidden, memory = self.cell(torch.cat([step, found], dim=1), (hidden, memory))
            states.append(hidden)
        return torch.stack(states, dim=1), hidden

    def _find(self, hidden: Tensor, keys: Tensor, sequence: Tensor) -> Tensor:
        if self.query is None or self.score is None:
            return sequence[:, 0]
        scores = self.score((self.query(hidden)[:, None] + keys).tanh())  # [B, T, 1]
        found: Tensor = (scores.softmax(dim=1) * sequence).sum(dim=1)
        return found
