"""minLSTM and minGRU (Feng et al., "Were RNNs all we needed?", 2024): all steps at once.

Their gates look at the input alone, so that a state is a weighted sum of its predecessor and of what the
input offers, with weights that are known beforehand: a linear recurrence, which a parallel scan solves. The
paper takes logarithms for it. Ours multiplies weights from 0 to 1 and adds positive numbers, and divides by
nothing: what underflows is what is forgotten.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class MinGRU(nn.Module):
    """A gate `z` and a candidate `c` for each step: `h = (1 - z) * h' + z * g(c)`."""

    def __init__(self, inputs: int, units: int) -> None:
        super().__init__()
        self.gates = nn.Linear(inputs, 2 * units)
        nn.init.zeros_(self.gates.bias)

    def forward(self, sequence: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """`[B, T, inputs]`, after a positive state `[1, B, units]`, to `[B, T, units]` and the last one."""
        update, candidate = _exact(self.gates(sequence)).chunk(2, dim=2)
        return _states(update, candidate, state)


class MinLSTM(nn.Module):
    """Two gates that add up to 1: `h = f / (f + i) * h' + i / (f + i) * g(c)`; `f` starts at a bias of 1."""

    def __init__(self, inputs: int, units: int) -> None:
        super().__init__()
        self.gates = nn.Linear(inputs, 3 * units)
        nn.init.zeros_(self.gates.bias)
        nn.init.ones_(self.gates.bias[:units])

    def forward(self, sequence: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """`[B, T, inputs]`, after a positive state `[1, B, units]`, to `[B, T, units]` and the last one."""
        forget, take, candidate = _exact(self.gates(sequence)).chunk(3, dim=2)
        return _states(F.softplus(-forget) - F.softplus(-take), candidate, state)  # log of i / f


def _exact(gates: Tensor) -> Tensor:
    """At least in float32, whatever autocast made of them: a state is a sum of many."""
    return gates.to(torch.promote_types(gates.dtype, torch.float32))


def _states(odds: Tensor, candidate: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
    """States from the candidates and the logarithmic odds of their being taken, all `[B, T, units]`."""
    keep, values = (-odds).sigmoid(), odds.sigmoid() * positive(candidate)
    if state is not None:
        first = torch.addcmul(values[:, :1], keep[:, :1], state[0, :, None])
        values = torch.cat([first, values[:, 1:]], dim=1)
    states = Scan.apply(keep, values) if torch.is_grad_enabled() else scan(keep, values)
    return states, states[:, -1][None]


def positive(candidate: Tensor) -> Tensor:
    """The paper's `g`: `x + 1/2` above 0, sigmoid below."""
    return torch.where(candidate >= 0, candidate + 0.5, candidate.sigmoid())


def scan(keep: Tensor, values: Tensor) -> Tensor:
    """`h` where `h[t] = keep[t] * h[t - 1] + values[t]` from 0 on, all `[B, T, units]`.

    In about twice the root of T rounds: each step of all chunks at once, then the end of each chunk in turn.
    """
    steps = keep.shape[1]
    size = math.isqrt(steps - 1) + 1
    keep, values = (_chunks(part, size) for part in (keep, values))  # [B, N, size, units]
    alone = [values[:, :, 0]]  # the states of each step of a chunk that starts from 0
    share = [keep[:, :, 0]]  # and what is left there of what came before the chunk
    for step in range(1, size):
        alone.append(torch.addcmul(values[:, :, step], keep[:, :, step], alone[-1]))
        share.append(keep[:, :, step] * share[-1])
    before = [torch.zeros_like(alone[0][:, 0])]  # the state that each chunk starts from
    for chunk in range(keep.shape[1] - 1):
        before.append(torch.addcmul(alone[-1][:, chunk], share[-1][:, chunk], before[-1]))
    first = torch.stack(before, dim=1)[:, :, None]  # [B, N, 1, units]
    states = torch.addcmul(torch.stack(alone, dim=2), torch.stack(share, dim=2), first)
    return states.flatten(1, 2)[:, :steps]


class Scan(torch.autograd.Function):
    """`scan`, whose gradient is found by another one from the end, without its rounds being remembered."""

    @staticmethod
    def forward(ctx: Any, keep: Tensor, values: Tensor) -> Tensor:
        """The states `[B, T, units]`."""
        states = scan(keep, values)
        ctx.save_for_backward(keep, states)
        return states

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        """How the loss changes with what each step keeps, and with what it adds."""
        keep, states = ctx.saved_tensors
        # by what a state counts for the next; the last has none, whatever stands there
        later = keep.roll(-1, dims=1)
        reached: Tensor = Scan.apply(later.flip(1), gradients[0].flip(1)).flip(1)
        return reached * F.pad(states[:, :-1], (0, 0, 1, 0)), reached


def _chunks(steps: Tensor, size: int) -> Tensor:
    """`[B, T, units]` to `[B, N, size, units]`, filled up at the end."""
    batch, length, units = steps.shape
    whole = F.pad(steps, (0, 0, 0, -length % size))
    return whole.reshape(batch, -(-length // size), size, units)
