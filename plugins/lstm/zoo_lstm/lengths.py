"""Which steps of padded sequences are real, and where each sequence ends."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import zoo

PADDING = 0


def embed(embedding: nn.Embedding, tokens: Tensor, *, kept: Tensor | None = None) -> Tensor:
    """The vectors of `tokens[B, T]`: `[B, T, size]`, each times its token's factor in `kept[V, 1]` if given.

    Raises `zoo.DataError` for a token that there is no vector of. On the CPU: an accelerator stops by itself,
    and elsewhere to look would be to wait for it.
    """
    try:
        if kept is not None:
            return F.embedding(tokens, embedding.weight * kept)
        vectors: Tensor = embedding(tokens)
    except IndexError:
        size = embedding.num_embeddings
        raise zoo.DataError(
            f"tokens from {int(tokens.min())} to {int(tokens.max())} where the vocabulary has {size}; "
            "encode the text with the model's own tokenizer"
        ) from None
    return vectors


def real_lengths(tokens: Tensor) -> Tensor:
    """How many of each row's `tokens[B, T]` come before the padding, at least 1: int64 `[B]`."""
    return (tokens != PADDING).sum(dim=1).clamp_min(1)


def real_steps(lengths: Tensor, total: int) -> Tensor:
    """Which of `total` steps are real where each row's first `lengths[B]` are: bool `[B, total]`."""
    return torch.arange(total, device=lengths.device) < lengths[:, None]


def last_states(states: Tensor, lengths: Tensor, *, bidirectional: bool) -> Tensor:
    """What `states[B, T, width]` end with, each direction where it ends: `[B, width]`."""
    end = (lengths - 1)[:, None]  # [B, 1]
    if not bidirectional:
        return take_steps(states, end)[:, 0]
    ahead, back = states.chunk(2, dim=2)
    return torch.cat([take_steps(ahead, end)[:, 0], back[:, 0]], dim=1)


def take_steps(sequence: Tensor, steps: Tensor) -> Tensor:
    """Of `sequence[B, T, size]` the steps with the numbers `steps[B, N]`: `[B, N, size]`.

    As `take_along_dim` does, which torch.export knows for one size of batch alone.
    """
    return sequence.gather(1, steps[:, :, None].expand(-1, -1, sequence.shape[2]))


def mirror(lengths: Tensor, total: int) -> Tensor:
    """Where each step goes when every row's first `lengths[B]` steps change order: int64 `[B, total]`.

    Its own inverse. Of constant shape, unlike a packed sequence, so it can be traced and compiled.
    """
    steps, lengths = torch.arange(total, device=lengths.device), lengths[:, None]
    return torch.where(steps < lengths, lengths - 1 - steps, steps)
