"""Tokens: which are real, and vectors for them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

PADDING = 0


def embedding(vocab_size: int, dim: int) -> nn.Embedding:
    """Vectors for tokens, about 1 long: what the blocks add counts, and a head tied to them starts mild."""
    table = nn.Embedding(vocab_size, dim)
    nn.init.normal_(table.weight, std=dim**-0.5)
    return table


def real_tokens(tokens: Tensor) -> Tensor:
    """Which of `tokens[B, T]` are no padding; the first in a row of nothing else, so that one is."""
    real = tokens != PADDING
    first = torch.arange(tokens.shape[1], device=tokens.device) == 0  # [T]
    return real | (first & ~real.any(dim=1, keepdim=True))


def places_of(real: Tensor) -> Tensor:
    """How many real tokens come before each, `[B, T]`; padding on either side moves none of them."""
    return (real.cumsum(dim=1) - 1).clamp_min(0)
