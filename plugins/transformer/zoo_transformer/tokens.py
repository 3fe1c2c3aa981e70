"""Tokens: which are real, and vectors for them."""

from __future__ import annotations

from torch import Tensor, nn

PADDING = 0


def embedding(vocab_size: int, dim: int) -> nn.Embedding:
    """Vectors for tokens, about 1 long: what the blocks add counts, and a head tied to them starts mild."""
    table = nn.Embedding(vocab_size, dim)
    nn.init.normal_(table.weight, std=dim**-0.5)
    return table


def real_tokens(tokens: Tensor) -> Tensor:
    """Which of `tokens[B, T]` are no padding; all of them in a row of nothing else, so that some are."""
    real = tokens != PADDING
    return real | ~real.any(dim=1, keepdim=True)
