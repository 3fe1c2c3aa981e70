"""Whether an explanation depends on what a model has learnt (Adebayo et al., "Sanity checks", 2018)."""

from __future__ import annotations

from copy import deepcopy
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats
from torch import nn

ModuleT = TypeVar("ModuleT", bound=nn.Module)


@torch.no_grad()
def randomized(module: ModuleT, seed: int) -> ModuleT:
    """A copy of the module with the numbers of each parameter shuffled: as large as before, and senseless."""
    copy, generator = deepcopy(module), torch.Generator().manual_seed(seed)
    for parameter in copy.parameters():
        order = torch.randperm(parameter.numel(), generator=generator).to(parameter.device)
        parameter.copy_(parameter.flatten()[order].view_as(parameter))
    return copy


def likeness(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """The rank correlation (Spearman 1904) of two explanations; 0 where one is the same everywhere."""
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return 0.0
    return float(stats.spearmanr(one.ravel(), other.ravel()).statistic)
