"""MiniRocket (Dempster, Schmidt & Webb, KDD 2021, arXiv 2012.08791): fixed kernels, and a linear head."""

from __future__ import annotations

import functools
import itertools
import math
from collections import Counter

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import zoo

TAPS = 9  # steps that a kernel sees
TRIPLES = tuple(itertools.combinations(range(TAPS), 3))  # where a kernel's weight is 2; elsewhere it is -1
KERNELS = len(TRIPLES)
GOLDEN = (math.sqrt(5) + 1) / 2
MOST_CHANNELS = 9  # that one kernel looks at


def minirocket(problem: zoo.Problem, *, features: int = 10_000, dilations: int = 32) -> nn.Module:
    """The paper's 84 kernels and a linear head on what they find: series `[B, T, C]` to logits `[B, K]`.

    Each kernel is laid over the series with steps between its weights, from none to as many as the
    series has room for. A feature is the share of time at which such a response lies above a bias
    (section 3). There are as many whole multiples of 84 as `features` allows, 9,996 by default, over at
    most `dilations` distances. Of several channels a kernel looks at the sum of up to nine drawn at random,
    as in the authors' multivariate version.

    Only the head has parameters. The biases are quantiles of responses to training series: the first
    batch that comes by in training mode sets them, once and for all, each kernel by a series of its own.
    They are buffers, kept with the weights; until then they are zero. Features are standardised, as
    in the authors' code, here by batch normalisation. The paper solves a ridge regression for its head up to
    10,000 samples; here it is trained by steps, as the paper's head for more is.

    Raises `zoo.SpecError` for a problem without series or classes, series under 9 steps, or fewer than
    84 features or 1 dilation.
    """
    series, classes = problem.expect("minirocket", zoo.SeriesInput, zoo.Classes)
    faults = []
    if series.length < TAPS:
        faults.append(f"series of {series.length} steps are too short; it takes {TAPS}")
    if features < KERNELS:
        faults.append(f"features = {features}: expected {KERNELS} or more, one for each kernel")
    if dilations < 1:
        faults.append(f"dilations = {dilations}: expected 1 or more")
    if faults:
        raise zoo.SpecError("minirocket", faults)
    shares = features_by_dilation(series.length, features // KERNELS, dilations)
    return MiniRocket(series.channels, classes.count, shares)


def features_by_dilation(length: int, features: int, most: int) -> dict[int, int]:
    """How many of a kernel's `features` fall to each dilation, of which there are at most `most`.

    They lie evenly by their logarithm, from 1 to the widest at which a kernel is no longer than the
    series; those that come to the same whole number share one.
    """
    count = min(features, most)
    widest = math.log2((length - 1) / (TAPS - 1))
    found = Counter(int(2.0 ** (widest * n / max(1, count - 1))) for n in range(count))
    shares = {dilation: times * features // count for dilation, times in found.items()}
    for dilation in itertools.islice(itertools.cycle(shares), features - sum(shares.values())):
        shares[dilation] += 1
    return shares


class MiniRocket(nn.Module):
    """The kernels at each dilation, their features standardised, and a linear head."""

    def __init__(self, channels: int, classes: int, shares: dict[int, int]) -> None:
        super().__init__()
        features = KERNELS * sum(shares.values())
        # a sequence that fills the unit interval evenly, however far it goes
        quantiles = (torch.arange(1, features + 1, dtype=torch.float64) * GOLDEN % 1).float()
        parts = torch.split(quantiles, [KERNELS * count for count in shares.values()])
        self.kernels = nn.ModuleDict(
            {
                f"dilation{dilation}": Kernels(channels, dilation, n, part.view(KERNELS, -1))
                for n, (dilation, part) in enumerate(zip(shares, parts, strict=True))
            }
        )
        self.norm = nn.BatchNorm1d(features, affine=False)
        self.head = nn.Linear(features, classes)
        nn.init.zeros_(self.head.weight)  # what is drawn here, few samples could never take back

    def forward(self, series: Tensor) -> Tensor:
        """Series `[B, T, C]` to logits `[B, K]`."""
        logits: Tensor = self.head(self.norm(self.transform(series)))
        return logits

    def transform(self, series: Tensor) -> Tensor:
        """The features of series `[B, T, C]`, from 0 to 1: `[B, F]`, by dilation, kernel and bias."""
        series = series.transpose(1, 2)  # [B, C, T]
        return torch.cat([kernels(series) for kernels in self.kernels.values()], dim=1)


class Kernels(nn.Module):
    """All kernels at one dilation, the `number`-th: series `[B, C, T]` to features `[B, 84 * biases]`."""

    triples: Tensor
    quantiles: Tensor
    channels: Tensor
    biases: Tensor
    fitted: Tensor

    def __init__(self, channels: int, dilation: int, number: int, quantiles: Tensor) -> None:
        super().__init__()
        self.dilation, self.number = dilation, number
        self.register_buffer("triples", torch.tensor(TRIPLES).T.contiguous(), persistent=False)  # [3, 84]
        self.register_buffer("quantiles", quantiles, persistent=False)  # [84, biases]
        self.register_buffer("channels", _drawn(channels))  # [most, 84]
        self.register_buffer("biases", torch.zeros_like(quantiles))
        self.register_buffer("fitted", torch.zeros((), dtype=torch.bool))

    def forward(self, series: Tensor) -> Tensor:
        """How large a share of each response lies above each bias.

        Every other kernel, beginning with the first or the second in turn, counts the whole
        response; the others only where they do not reach over an end of the series.
        """
        responses = self._responses(series)  # [B, 84, T]
        if self.training:
            self._fit(responses)
        first, reach = self.number % 2, self._reach
        whole = _shares_above(self.biases[first::2], responses[:, first::2])  # [B, 42, biases]
        inner = _shares_above(self.biases[1 - first :: 2], responses[:, 1 - first :: 2, reach:-reach])
        pair = (inner, whole) if first else (whole, inner)
        return torch.stack(pair, dim=2).flatten(1)

    @property
    def _reach(self) -> int:
        """Steps that a kernel sees to either side."""
        return TAPS // 2 * self.dilation

    def _responses(self, series: Tensor) -> Tensor:
        """Every kernel laid over the sum of its channels, zeros beyond the ends: `[B, 84, T]`.

        Added up rather than convolved: a GPU's convolutions round what is then compared.
        """
        length = series.shape[2]
        padded = F.pad(series, (self._reach, self._reach, 0, 1))  # one channel more, of zeros
        shifted = [padded[:, :, n * self.dilation :][:, :, :length] for n in range(TAPS)]
        middle = TAPS // 2
        total = sum(shifted[:middle] + shifted[middle + 1 :], start=shifted[middle])  # [B, C + 1, T]
        tripled = 3 * torch.stack(shifted, dim=2).flatten(1, 2)  # [B, (C + 1) * 9, T]

        def response(channel: Tensor) -> Tensor:
            """To each kernel's `channel`, `[84]`."""
            found = -total[:, channel]
            for tap in self.triples:  # [84]
                found = found + tripled[:, TAPS * channel + tap]
            return found

        return functools.reduce(torch.add, map(response, self.channels))

    def _fit(self, responses: Tensor) -> None:
        """Sets the biases, unless they are set: a choice by value, since no forward may branch on one."""
        count, kernels, length = responses.shape
        kernel = torch.arange(kernels, device=responses.device)
        own = responses[(kernel + self.number * kernels) % count, kernel].sort(dim=1).values  # [84, T]
        places = self.quantiles * (length - 1)
        below = places.long().clamp_max(length - 2)  # [84, biases]
        found = torch.lerp(own.gather(1, below), own.gather(1, below + 1), places - below)
        self.biases.copy_(torch.where(self.fitted, self.biases, found))
        self.fitted.fill_(True)


def _drawn(channels: int) -> Tensor:
    """Which channels each kernel looks at, `[most, 84]`; `channels`, of zeros, where it looks at fewer.

    How many is drawn evenly by its logarithm, so that few are more frequent.
    """
    most = min(channels, MOST_CHANNELS)
    counts = (2 ** (torch.rand(KERNELS) * math.log2(most + 1))).long().clamp(1, most)
    order = torch.rand(channels, KERNELS).argsort(dim=0)[:most]
    rank = torch.arange(most)[:, None]
    return torch.where(rank < counts, order, torch.full_like(order, channels))


def _shares_above(biases: Tensor, responses: Tensor) -> Tensor:
    """The share of time that responses `[B, k, T]` lie above each of biases `[k, n]`: `[B, k, n]`.

    One bias after the other, since all at once would take n times the memory.
    """
    above = [(responses > bias[:, None]).sum(dim=2) for bias in biases.unbind(dim=1)]
    return torch.stack(above, dim=2) / responses.shape[2]
