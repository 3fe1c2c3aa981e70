"""Long short-term memory (Hochreiter & Schmidhuber 1997), forget gates (Gers, Schmidhuber & Cummins 2000)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

PADDING = 0


def lstm(inputs: int, units: int, *, layers: int = 1, dropout: float = 0.0) -> nn.LSTM:
    """The fused LSTM, `[B, T, inputs]` to `[B, T, units]`; `dropout` lies between its layers.

    Biases start at 0, save those of the forget gates: torch adds up two, and they start at 1 and 0, so
    that a cell remembers until it has learnt what to forget (Gers 2000).
    """
    module = nn.LSTM(inputs, units, layers, batch_first=True, dropout=dropout if layers > 1 else 0.0)
    for name, parameter in module.named_parameters():
        if name.startswith("bias"):
            nn.init.zeros_(parameter)
        if name.startswith("bias_ih"):
            nn.init.ones_(parameter[units : 2 * units])  # torch's order of gates: input, forget, cell, output
    return module


def run_lstm(module: nn.LSTM, sequence: Tensor, first: tuple[Tensor, Tensor] | None = None) -> Tensor:
    """The states of each step of `sequence[B, T, inputs]`: `[B, T, units]`; `first` is where it starts from.

    In float32 on the CPU, whatever autocast asks for: many CPUs have no kernel for it in another precision.
    """
    if sequence.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
        return module(sequence, first)[0]
    with torch.autocast("cpu", enabled=False):
        if first is not None:
            first = first[0].float(), first[1].float()
        return module(sequence.float(), first)[0]


class BiLSTM(nn.Module):
    """Two LSTMs over the same sequence, one from each end (Schuster & Paliwal 1997).

    The second begins at the last real step, so that padding on the right changes nothing.
    """

    def __init__(self, inputs: int, units: int) -> None:
        super().__init__()
        self.ahead = lstm(inputs, units)
        self.back = lstm(inputs, units)

    def forward(self, sequence: Tensor, lengths: Tensor) -> Tensor:
        """`[B, T, inputs]`, of which `lengths[B]` steps are real, to `[B, T, 2 units]`."""
        order = mirror(lengths, sequence.shape[1])[:, :, None]  # [B, T, 1]
        ahead = run_lstm(self.ahead, sequence)
        back = run_lstm(self.back, sequence.take_along_dim(order, dim=1))
        return torch.cat([ahead, back.take_along_dim(order, dim=1)], dim=2)


def real_lengths(tokens: Tensor) -> Tensor:
    """How many of each row's `tokens[B, T]` come before the padding, at least 1: int64 `[B]`."""
    return (tokens != PADDING).sum(dim=1).clamp_min(1)


def real_steps(lengths: Tensor, total: int) -> Tensor:
    """Which of `total` steps are real where each row's first `lengths[B]` are: bool `[B, total]`."""
    return torch.arange(total, device=lengths.device) < lengths[:, None]


def last_states(states: Tensor, lengths: Tensor) -> Tensor:
    """What both directions of a BiLSTM's `states[B, T, 2 units]` end with: `[B, 2 units]`."""
    units = states.shape[2] // 2
    end = (lengths - 1)[:, None, None]  # [B, 1, 1]
    ahead = states[:, :, :units].take_along_dim(end, dim=1)[:, 0]
    return torch.cat([ahead, states[:, 0, units:]], dim=1)


def mirror(lengths: Tensor, total: int) -> Tensor:
    """Where each step goes when every row's first `lengths[B]` steps change order: int64 `[B, total]`.

    Its own inverse. Of constant shape, unlike a packed sequence, so it can be traced and compiled.
    """
    steps, lengths = torch.arange(total, device=lengths.device), lengths[:, None]
    return torch.where(steps < lengths, lengths - 1 - steps, steps)
