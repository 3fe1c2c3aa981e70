"""Layers that read a sequence one way: torch's fused kernels, minimal cells, and what goes round them.

Each maps `(sequence[B, T, inputs], state=None)` to the states `[B, T, units]` and the one after the last.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

import zoo
from zoo_lstm.minimal import MinGRU, MinLSTM
from zoo_lstm.state import State, check_state, map_state

Module = TypeVar("Module", bound=nn.RNNBase)
KERNELS: Mapping[str, Callable[..., tuple[Tensor, ...]]] = {
    "RNN_TANH": torch.rnn_tanh,
    "LSTM": torch.lstm,
    "GRU": torch.gru,
}


def elman(inputs: int, units: int, *, layers: int = 1, dropout: float = 0.0) -> nn.RNN:
    """The simple recurrent network (Elman 1990): `h = tanh(W x + U h' + b)`; biases start at 0."""
    return _without_biases(nn.RNN(inputs, units, layers, batch_first=True, dropout=dropout))


def lstm(inputs: int, units: int, *, layers: int = 1, dropout: float = 0.0) -> nn.LSTM:
    """Long short-term memory (Hochreiter & Schmidhuber 1997) with forget gates (Gers et al. 2000).

    Biases start at 0, save those of the forget gates: torch adds up two, and they start at 1 and 0, so
    that a cell remembers until it has learnt what to forget (Gers 2000).
    """
    module = _without_biases(nn.LSTM(inputs, units, layers, batch_first=True, dropout=dropout))
    for name, parameter in module.named_parameters():
        if name.startswith("bias_ih"):
            nn.init.ones_(parameter[units : 2 * units])  # torch's order of gates: input, forget, cell, output
    return module


def gru(inputs: int, units: int, *, layers: int = 1, dropout: float = 0.0) -> nn.GRU:
    """Gated recurrent units (Cho et al. 2014); biases start at 0."""
    return _without_biases(nn.GRU(inputs, units, layers, batch_first=True, dropout=dropout))


FUSED: Mapping[str, Callable[..., nn.RNNBase]] = {"rnn": elman, "lstm": lstm, "gru": gru}
MINIMAL: Mapping[str, Callable[..., nn.Module]] = {"min_lstm": MinLSTM, "min_gru": MinGRU}
# how many parts a bias has, and which of them are the gates that keep and that take
GATES: Mapping[type[nn.Module], tuple[int, int | None, int | None]] = {
    nn.LSTM: (4, 1, 0),
    nn.GRU: (3, 1, None),
    MinLSTM: (3, 0, 1),
    MinGRU: (2, None, 0),
}


def _without_biases(module: Module) -> Module:
    for name, parameter in module.named_parameters():
        if name.startswith("bias"):
            nn.init.zeros_(parameter)
    return module


@torch.no_grad()
def remember(layer: nn.Module, steps: int) -> None:
    """Lets each unit of new gates keep what it holds for some number of steps, drawn from 1 to `steps`.

    The bias of what keeps is the logarithm of that number, that of what takes the opposite ("chrono"
    initialisation, Tallec & Ollivier 2018). Layers without gates stay as they are.
    """
    for module in layer.modules():
        parts, keep, take = GATES.get(type(module), (1, None, None))
        for name, bias in module.named_parameters():
            if name.startswith("bias_ih") or name == "gates.bias":
                each = bias.view(parts, -1)  # [parts, units]
                held = (1 + (steps - 2) * torch.rand_like(each[0])).log()
                if keep is not None:
                    each[keep] = held
                if take is not None:
                    each[take] = -held


def one_way(cell: str, inputs: int, units: int, *, weight_dropout: float, projection: int) -> nn.Module:
    """One layer of a cell; with dropout on its recurrent weights and a projection where these are not 0."""
    layer: nn.Module = FUSED[cell](inputs, units) if cell in FUSED else MINIMAL[cell](inputs, units)
    if weight_dropout:
        layer = WeightDropped(layer, weight_dropout)
    return Projected(layer, units, projection) if projection else layer


class WeightDropped(nn.Module):
    """A fused layer that leaves out a share of its recurrent weights, the same at every step (Wan 2013).

    Merity et al. (2017) found it to regularise what dropout on states only disturbs.
    """

    def __init__(self, layer: Any, rate: float) -> None:
        super().__init__()
        self.layer = layer
        self.dropout = nn.Dropout(rate)

    def forward(self, sequence: Tensor, state: State = None) -> tuple[Tensor, State]:
        """As the layer does; in training with some of its weights."""
        layer = self.layer
        if not self.training:
            states, end = layer(sequence, state)
            return states, end
        recurrent = self.dropout(layer.weight_hh_l0)
        weights = [layer.weight_ih_l0, recurrent, layer.bias_ih_l0, layer.bias_hh_l0]
        zeros = sequence.new_zeros(1, sequence.shape[0], layer.hidden_size)
        gated = layer.mode == "LSTM"  # it has two tensors for a state
        first = state if state is not None else (zeros, zeros) if gated else zeros
        states, *ends = KERNELS[layer.mode](sequence, first, weights, True, 1, 0.0, True, False, True)
        return states, tuple(ends) if gated else ends[0]


class Projected(nn.Module):
    """A layer whose states are mapped to fewer numbers before the next one reads them (Sak et al. 2014).

    The layer itself remembers all of them: what it carries from step to step is not projected.
    """

    def __init__(self, layer: nn.Module, units: int, projection: int) -> None:
        super().__init__()
        self.layer = layer
        self.down = nn.Linear(units, projection, bias=False)

    def forward(self, sequence: Tensor, state: State = None) -> tuple[Tensor, State]:
        """States `[B, T, projection]`, and the layer's own state."""
        states, end = self.layer(sequence, state)
        return self.down(states), end


class LockedDropout(nn.Dropout):
    """Dropout of the same features at every step of a sequence (Gal & Ghahramani 2016)."""

    def forward(self, sequence: Tensor) -> Tensor:
        """`[B, T, size]`, some of the size left out."""
        if not self.training or not self.p:
            return sequence
        return sequence * super().forward(torch.ones_like(sequence[:, :1]))


def run(layer: nn.Module, sequence: Tensor, state: State = None) -> tuple[Tensor, State]:
    """What a layer makes of `sequence[B, T, inputs]`, and of the state that it starts from.

    In float32 on the CPU, whatever autocast asks for: many CPUs have no kernel for it in another precision.
    Raises `zoo.DataError` for a sequence of no steps, and for the state of another number of sequences.
    """
    if not sequence.shape[1]:
        raise zoo.DataError("a sequence of 0 steps; give at least one, padding where there is nothing")
    if state is not None:
        check_state(state, sequence.shape[0])
    if sequence.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
        states, end = layer(sequence, state)
        return states, end
    with torch.autocast("cpu", enabled=False):
        states, end = layer(sequence.float(), None if state is None else map_state(Tensor.float, state))
        return states, end
