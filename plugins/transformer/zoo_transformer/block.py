"""The block that every model of this package is a stack of.

Pre-norm (Xiong et al. 2020, figure 1b) with rotary positions (Su et al. 2021) and a SwiGLU MLP (Shazeer
2020); no biases. LayerNorm rather than RMSNorm: torch fuses it in mixed precision too. In shapes, B is
the batch, T and S the lengths of two sequences, D the model's dimension, N the number of heads.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Transformer(nn.Module):
    """`depth` blocks and a norm.

    `causal` keeps every position from seeing later ones; `cross` lets all of them see a second
    sequence, the memory. `base` sets how slowly rotary positions turn: the longest wave is a little
    under 2 pi base.
    """

    def __init__(
        self,
        dim: int,
        depth: int,
        heads: int,
        *,
        causal: bool = False,
        cross: bool = False,
        dropout: float = 0.0,
        base: float = 10_000.0,
    ) -> None:
        super().__init__()
        self.pairs = dim // heads // 2
        self.base = base
        self.blocks = nn.ModuleList(
            Block(dim, heads, causal=causal, cross=cross, dropout=dropout) for _ in range(depth)
        )
        self.norm = nn.LayerNorm(dim, bias=False)

    def forward(
        self,
        hidden: Tensor,
        *,
        positions: Tensor | None = None,
        keep: Tensor | None = None,
        memory: Tensor | None = None,
        memory_keep: Tensor | None = None,
    ) -> Tensor:
        """`hidden[B, T, D]` to the same shape.

        `positions[T, axes]`: where each element is, along one axis or several; by default 0 to T - 1.
        `keep[B, T]` and `memory_keep[B, S]`: which elements of `hidden` and `memory[B, S, D]` may be
        seen, at least one in each row; by default all. A causal stack takes no `keep`: what comes after
        an element it does not see anyhow.
        """
        if positions is None:
            positions = torch.arange(hidden.shape[1], device=hidden.device)[:, None]
        turns = rotary_turns(positions, self.pairs, self.base)
        for block in self.blocks:
            hidden = block(hidden, turns, keep, memory, memory_keep)
        out: Tensor = self.norm(hidden)
        return out


class Block(nn.Module):
    """Attention, attention to a memory where there is one, then an MLP; each added to its input."""

    def __init__(self, dim: int, heads: int, *, causal: bool, cross: bool, dropout: float) -> None:
        super().__init__()
        self.norm_attention = nn.LayerNorm(dim, bias=False)
        self.attention = Attention(dim, heads, causal=causal)
        if cross:
            self.norm_cross = nn.LayerNorm(dim, bias=False)
            self.cross = Attention(dim, heads)
        self.norm_mlp = nn.LayerNorm(dim, bias=False)
        self.mlp = SwiGLU(dim)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        hidden: Tensor,
        turns: Tensor,
        keep: Tensor | None,
        memory: Tensor | None,
        memory_keep: Tensor | None,
    ) -> Tensor:
        """`hidden[B, T, D]` to the same shape."""
        seen = self.norm_attention(hidden)
        hidden = hidden + self.dropout(self.attention(seen, seen, keep, turns))
        if memory is not None:
            hidden = hidden + self.dropout(self.cross(self.norm_cross(hidden), memory, memory_keep))
        out: Tensor = hidden + self.dropout(self.mlp(self.norm_mlp(hidden)))
        return out


class Attention(nn.Module):
    """Scaled dot-product attention with several heads (Vaswani et al. 2017, section 3.2)."""

    def __init__(self, dim: int, heads: int, *, causal: bool = False) -> None:
        super().__init__()
        self.heads = heads
        self.causal = causal
        self.query = nn.Linear(dim, dim, bias=False)
        self.key_value = nn.Linear(dim, 2 * dim, bias=False)
        self.out = nn.Linear(dim, dim, bias=False)

    def forward(
        self, hidden: Tensor, memory: Tensor, keep: Tensor | None = None, turns: Tensor | None = None
    ) -> Tensor:
        """`hidden[B, T, D]` sees `memory[B, S, D]` where `keep[B, S]`; gives `[B, T, D]`.

        `turns` holds the rotary positions where the two are one sequence.
        """
        query = self._split(self.query(hidden))  # [B, N, T, D / N]
        key, value = map(self._split, self.key_value(memory).chunk(2, dim=2))  # [B, N, S, D / N]
        if turns is not None:
            query, key = rotate(query, turns), rotate(key, turns)
        mask = None if keep is None else keep[:, None, None]  # [B, 1, 1, S]
        found = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, is_causal=self.causal)
        out: Tensor = self.out(found.transpose(1, 2).flatten(2))
        return out

    def _split(self, features: Tensor) -> Tensor:
        return features.view(*features.shape[:2], self.heads, -1).transpose(1, 2)


class SwiGLU(nn.Module):
    """An MLP whose hidden units are gated (Shazeer 2020, equation 6)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        hidden = 8 * math.ceil(dim / 3)  # three matrices with the weights of an MLP's usual two, 4 dim wide
        self.expand = nn.Linear(dim, 2 * hidden, bias=False)
        self.contract = nn.Linear(hidden, dim, bias=False)

    def forward(self, hidden: Tensor) -> Tensor:
        """`[B, T, D]` to the same shape, each position by itself."""
        gate, value = self.expand(hidden).chunk(2, dim=-1)
        out: Tensor = self.contract(F.silu(gate) * value)
        return out


def rotary_turns(positions: Tensor, pairs: int, base: float) -> Tensor:
    """Cosine and sine of the angles by which `pairs` pairs of features are turned, `[2, T, pairs]`.

    `positions` is `[T, axes]`; each axis has an equal share of the pairs, turned by geometrically
    falling frequencies (Su et al. 2021, equation 15).
    """
    share = pairs // positions.shape[1]
    frequencies = base ** (-torch.arange(share, device=positions.device) / share)  # [share]
    angles = (positions[:, :, None] * frequencies).flatten(1)  # [T, pairs]
    return torch.stack([angles.cos(), angles.sin()])


def rotate(features: Tensor, turns: Tensor) -> Tensor:
    """`features[B, N, T, 2 pairs]`, each pair (one from either half) turned by its position's angle.

    The product of a query and a key so turned depends on their distance, not on where they are.
    """
    cos, sin = turns
    first, second = features.chunk(2, dim=-1)
    turned = torch.cat([first * cos - second * sin, first * sin + second * cos], dim=-1)
    return turned.type_as(features)
