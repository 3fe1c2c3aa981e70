"""minLSTM and minGRU (Feng et al., "Were RNNs all we needed?", 2024): all steps at once.

Their gates look at the input alone, so that a state is a weighted sum of its predecessor and of what the
input offers, with weights that are known beforehand. All of them are found by a parallel scan, in logarithms:
products of many small weights are sums there, and nothing underflows.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

CHUNK = 16  # steps over which logarithms are added up: few, so that float32 keeps its digits


class MinGRU(nn.Module):
    """A gate `z` and a candidate `c` for each step: `h = (1 - z) * h' + z * g(c)`."""

    def __init__(self, inputs: int, units: int) -> None:
        super().__init__()
        self.gates = nn.Linear(inputs, 2 * units)
        nn.init.zeros_(self.gates.bias)

    def forward(self, sequence: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """`[B, T, inputs]`, after a positive state `[1, B, units]`, to `[B, T, units]` and the last one."""
        update, candidate = _exact(self.gates(sequence)).chunk(2, dim=2)
        return _states(-F.softplus(update), -F.softplus(-update), candidate, state)


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
        odds = F.softplus(-forget) - F.softplus(-take)  # log of i / f
        return _states(-F.softplus(odds), -F.softplus(-odds), candidate, state)


def _exact(gates: Tensor) -> Tensor:
    """At least in float32, whatever autocast made of them: logarithms are no place to save digits."""
    return gates.to(torch.promote_types(gates.dtype, torch.float32))


def _states(keep: Tensor, take: Tensor, candidate: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
    """States from the logarithms of how much is kept and taken, and the candidates, all `[B, T, units]`."""
    values = take + log_positive(candidate)
    if state is not None:
        before = keep[:, :1] + state[0, :, None].clamp_min(torch.finfo(keep.dtype).tiny).log()
        values = torch.cat([torch.logaddexp(values[:, :1], before), values[:, 1:]], dim=1)
    states = log_scan(keep, values).exp()
    return states, states[:, -1][None]


def log_positive(candidate: Tensor) -> Tensor:
    """The logarithm of the paper's `g`, which makes candidates positive: `x + 1/2` above 0, sigmoid below."""
    return torch.where(candidate >= 0, (candidate.relu() + 0.5).log(), -F.softplus(-candidate))


def log_scan(keep: Tensor, values: Tensor) -> Tensor:
    """`log h` where `h[t] = exp(keep[t]) * h[t - 1] + exp(values[t])`, all `[B, T, units]`.

    Within chunks by sums over all of their steps (Heinsen 2023), all chunks at once; then each chunk's end
    goes into those after it.
    """
    steps = keep.shape[1]
    keep, values = (_chunks(part) for part in (keep, values))  # [B, N, CHUNK, units]
    total = keep.cumsum(dim=2)
    alone = total + (values - total).logcumsumexp(dim=2)
    ends = _doubling_scan(total[:, :, -1], alone[:, :, -1])  # [B, N, units]
    joined = torch.logaddexp(alone[:, 1:], total[:, 1:] + ends[:, :-1, None])
    return torch.cat([alone[:, :1], joined], dim=1).flatten(1, 2)[:, :steps]


def _doubling_scan(keep: Tensor, values: Tensor) -> Tensor:
    """As `log_scan`, in rounds that each reach twice as far (Hillis & Steele 1986): exact, for memory."""
    reach = 1
    while reach < keep.shape[1]:
        further = torch.logaddexp(values[:, reach:], keep[:, reach:] + values[:, :-reach])
        values = torch.cat([values[:, :reach], further], dim=1)
        keep = torch.cat([keep[:, :reach], keep[:, reach:] + keep[:, :-reach]], dim=1)
        reach *= 2
    return values


def _chunks(steps: Tensor) -> Tensor:
    """`[B, T, units]` to `[B, N, CHUNK, units]`, filled up at the end."""
    whole = F.pad(steps, (0, 0, 0, -steps.shape[1] % CHUNK))
    return whole.reshape(len(whole), -1, CHUNK, whole.shape[2])
