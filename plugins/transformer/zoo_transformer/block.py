"""The block that every model of this package is a stack of.

Pre-norm (Xiong et al. 2020, figure 1b) with rotary positions (Su et al. 2021) and a SwiGLU MLP (Shazeer
2020); no biases. LayerNorm rather than RMSNorm: torch fuses it in mixed precision too. A `Style` makes it
that of a model which was published otherwise. In shapes, B is the batch, T and S the lengths of two
sequences, D the model's dimension, N the number of heads, M that of heads with keys and values of their own.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo_transformer.state import Keys, Past, State

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "gelu_tanh": partial(F.gelu, approximate="tanh"),
    "relu": F.relu,
}
NORMS = ("layer", "rms")


@dataclass(frozen=True, kw_only=True)
class Style:
    """How a block is made; as it stands, this package's own way.

    `activation` is that of the MLP: `swiglu`, which never has a `bias`, or one of `ACTIVATIONS` in an MLP
    `hidden` wide. `post_norm` has the norm after each sum (Xiong et al. 2020, figure 1a), and then none at
    the end of the stack. `norm` is `layer` or `rms` (Zhang & Sennrich 2019). With `kv_heads`, heads share
    keys and values in so many groups (Ainslie et al. 2023); `qk_norm` has a norm over each head's queries
    and keys (Henry et al. 2020).
    """

    rotary: bool = True
    bias: bool = False
    post_norm: bool = False
    activation: str = "swiglu"
    hidden: int = 0
    eps: float = 1e-5
    norm: str = "layer"
    kv_heads: int = 0
    qk_norm: bool = False

    def make_norm(self, dim: int) -> nn.Module:
        """The norm over `dim` features."""
        if self.norm == "rms":
            return nn.RMSNorm(dim, eps=self.eps)
        return nn.LayerNorm(dim, eps=self.eps, bias=self.bias)

    def make_mlp(self, dim: int) -> nn.Module:
        """What works on each position by itself."""
        return SwiGLU(dim) if self.activation == "swiglu" else MLP(dim, self)


OURS = Style()


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
        style: Style = OURS,
    ) -> None:
        super().__init__()
        self.pairs = dim // heads // 2 if style.rotary else 0
        self.base = base
        self.causal = causal
        self.blocks = nn.ModuleList(
            Block(dim, heads, causal=causal, cross=cross, dropout=dropout, style=style) for _ in range(depth)
        )
        self.norm = nn.Identity() if style.post_norm else style.make_norm(dim)

    def forward(
        self,
        hidden: Tensor,
        *,
        positions: Tensor | None = None,
        keep: Tensor | None = None,
        memory: Tensor | None = None,
        memory_keep: Tensor | None = None,
        state: State | None = None,
    ) -> Tensor:
        """`hidden[B, T, D]` to the same shape.

        `positions[T, axes]`: where each element is, along one axis or several; by default 0 to T - 1.
        `keep[B, T]` and `memory_keep[B, S]`: which elements of `hidden` and `memory[B, S, D]` may be
        seen, by default all; at least one in each row, unless the stack is causal, where each sees itself.
        A causal stack's `state` is what came before, which `keep` speaks of too, and the memory; it takes
        `hidden` in.
        """
        turns = self._turns(hidden, positions, state) if self.pairs else None
        mask = self._mask(hidden, keep, state)
        if state is not None:
            memory_keep = state.memory_keep
        memory_mask = None if memory_keep is None else memory_keep[:, None, None]  # [B, 1, 1, S]
        for number, block in enumerate(self.blocks):
            past = None if state is None else state.past[number]
            known = memory if state is None or not state.memory else state.memory[number]
            hidden = block(hidden, turns, mask, known, memory_mask, past)
        out: Tensor = self.norm(hidden)
        return out

    def read(self, memory: Tensor) -> list[Keys]:
        """What each block looks up of `memory[B, S, D]`, for a `State` to hold."""
        return [block.cross.keys(memory) for block in self.blocks]  # type: ignore[union-attr, operator]

    def _turns(self, hidden: Tensor, positions: Tensor | None, state: State | None) -> Tensor:
        if positions is None:
            start = 0 if state is None else state.size
            positions = torch.arange(start, start + hidden.shape[1], device=hidden.device)[:, None]
        return rotary_turns(positions, self.pairs, self.base)

    def _mask(self, hidden: Tensor, keep: Tensor | None, state: State | None) -> Tensor | None:
        """Who sees whom, bool `[..., T, S]`; None where the attention knows that by itself."""
        if not self.causal:
            return None if keep is None else keep[:, None, None]  # [B, 1, 1, T]
        new = hidden.shape[1]
        total = new if state is None else state.size + new
        if keep is None and new in (1, total):
            return None
        everyone = torch.ones(new, total, dtype=torch.bool, device=hidden.device)
        earlier = everyone.tril(total - new)
        if keep is None:
            return earlier
        itself = everyone.triu(total - new)  # and what is later, which `earlier` leaves out
        return (earlier & (keep[:, None] | itself))[:, None]  # [B, 1, T, S]


class Block(nn.Module):
    """Attention, attention to a memory where there is one, then an MLP; each added to its input."""

    def __init__(
        self, dim: int, heads: int, *, causal: bool, cross: bool, dropout: float, style: Style = OURS
    ) -> None:
        super().__init__()
        self.post_norm = style.post_norm
        self.norm_attention = style.make_norm(dim)
        self.attention = Attention(dim, heads, causal=causal, style=style)
        if cross:
            self.norm_cross = style.make_norm(dim)
            self.cross = Attention(dim, heads, style=style)
        self.norm_mlp = style.make_norm(dim)
        self.mlp = style.make_mlp(dim)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        hidden: Tensor,
        turns: Tensor | None,
        mask: Tensor | None,
        memory: Tensor | Keys | None,
        memory_mask: Tensor | None,
        past: Past | None = None,
    ) -> Tensor:
        """`hidden[B, T, D]` to the same shape."""
        hidden = self._add(
            hidden, self.norm_attention, lambda seen: self.attention(seen, mask=mask, turns=turns, past=past)
        )
        if memory is not None:
            hidden = self._add(hidden, self.norm_cross, lambda seen: self.cross(seen, memory, memory_mask))
        return self._add(hidden, self.norm_mlp, self.mlp)

    def _add(self, hidden: Tensor, norm: nn.Module, part: Callable[[Tensor], Tensor]) -> Tensor:
        """`hidden` and what `part` makes of it, with the norm before `part` or after the sum."""
        if self.post_norm:
            out: Tensor = norm(hidden + self.dropout(part(hidden)))
        else:
            out = hidden + self.dropout(part(norm(hidden)))
        return out


class Attention(nn.Module):
    """Scaled dot-product attention with several heads (Vaswani et al. 2017, section 3.2)."""

    def __init__(self, dim: int, heads: int, *, causal: bool = False, style: Style = OURS) -> None:
        super().__init__()
        size = dim // heads
        self.heads, self.kv_heads = heads, style.kv_heads or heads
        self.causal = causal
        self.query = nn.Linear(dim, dim, bias=style.bias)
        self.key_value = nn.Linear(dim, 2 * self.kv_heads * size, bias=style.bias)
        self.query_norm = style.make_norm(size) if style.qk_norm else None
        self.key_norm = style.make_norm(size) if style.qk_norm else None
        self.out = nn.Linear(dim, dim, bias=style.bias)

    def forward(
        self,
        hidden: Tensor,
        memory: Tensor | Keys | None = None,
        mask: Tensor | None = None,
        turns: Tensor | None = None,
        past: Past | None = None,
    ) -> Tensor:
        """`hidden[B, T, D]` sees itself, or `memory[B, S, D]`, or the `keys` of that; gives `[B, T, D]`.

        `mask` is true where one sees another, and is broadcast to `[B, N, T, S]`. Where `hidden` sees
        itself, `turns` holds the rotary positions, and `past` what came before it.
        """
        query, key, value = self._itself(hidden, turns) if memory is None else self._other(hidden, memory)
        if past is not None:
            key, value = past.join(key, value)
        found = F.scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=mask,
            is_causal=self.causal and mask is None and (past is None or query.shape[2] == key.shape[2]),
            enable_gqa=self.kv_heads != self.heads,
        )
        out: Tensor = self.out(found.transpose(1, 2).flatten(2))
        return out

    def keys(self, memory: Tensor) -> Keys:
        """Keys and values `[B, M, S, D / N]` of `memory[B, S, D]`."""
        key, value = self._split(self.key_value(memory)).chunk(2, dim=2)  # [B, S, M, D / N]
        return self._normed(key, self.key_norm).transpose(1, 2), value.transpose(1, 2)

    def _other(self, hidden: Tensor, memory: Tensor | Keys) -> tuple[Tensor, Tensor, Tensor]:
        query = self._normed(self._split(self.query(hidden)), self.query_norm)  # [B, T, N, D / N]
        return query.transpose(1, 2), *(self.keys(memory) if isinstance(memory, Tensor) else memory)

    def _itself(self, hidden: Tensor, turns: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """The three by one product, and queries and keys by one rotation: they are many small steps else."""
        weight = torch.cat([self.query.weight, self.key_value.weight])
        bias = None if self.query.bias is None else torch.cat([self.query.bias, self.key_value.bias])
        joined = self._split(F.linear(hidden, weight, bias))  # [B, T, N + 2 M, D / N]
        sizes = [self.heads, self.kv_heads, self.kv_heads]
        if turns is not None and self.query_norm is None:
            turned, value = torch.split(joined, [sum(sizes[:2]), sizes[2]], dim=2)
            query, key = torch.split(rotate(turned, turns), sizes[:2], dim=2)
        else:
            query, key, value = torch.split(joined, sizes, dim=2)
            query, key = self._normed(query, self.query_norm), self._normed(key, self.key_norm)
            if turns is not None:
                query, key = rotate(query, turns), rotate(key, turns)
        return query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2)

    def _normed(self, features: Tensor, norm: nn.Module | None) -> Tensor:
        out: Tensor = features if norm is None else norm(features)
        return out

    def _split(self, features: Tensor) -> Tensor:
        """`[B, T, heads * D / N]` to `[B, T, heads, D / N]`."""
        return features.view(*features.shape[:2], -1, self.out.in_features // self.heads)


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


class MLP(nn.Module):
    """Two layers and an activation between them (Vaswani et al. 2017, section 3.3)."""

    def __init__(self, dim: int, style: Style) -> None:
        super().__init__()
        self.activation = style.activation
        self.expand = nn.Linear(dim, style.hidden, bias=style.bias)
        self.contract = nn.Linear(style.hidden, dim, bias=style.bias)

    def forward(self, hidden: Tensor) -> Tensor:
        """`[B, T, D]` to the same shape, each position by itself."""
        out: Tensor = self.contract(ACTIVATIONS[self.activation](self.expand(hidden)))
        return out


def rotary_turns(positions: Tensor, pairs: int, base: float) -> Tensor:
    """Cosine and signed sine of the angles that `rotate` turns by, `[2, T, 1, 2 pairs]`.

    `positions` is `[T, axes]`; each axis has an equal share of the pairs of features.
    """
    angles = angles_of(positions, pairs, base)  # [T, pairs]
    cos, sin = angles.cos(), angles.sin()
    return torch.stack([torch.cat([cos, cos], dim=1), torch.cat([-sin, sin], dim=1)])[:, :, None]


def angles_of(positions: Tensor, pairs: int, base: float) -> Tensor:
    """`positions[..., axes]` to `pairs` angles `[..., pairs]`, an equal share for each axis.

    Their frequencies fall geometrically (Vaswani et al. 2017, section 3.5; Su et al. 2021, equation 15).
    """
    share = pairs // positions.shape[-1]
    frequencies = base ** (-torch.arange(share, device=positions.device) / share)  # [share]
    return (positions[..., None] * frequencies).flatten(-2)


def rotate(features: Tensor, turns: Tensor) -> Tensor:
    """`features[B, T, N, 2 pairs]`, each pair (one from either half) turned by its position's angle.

    The product of a query and a key so turned depends on their distance, not on where they are.
    """
    cos, sin = turns
    halves = features.roll(features.shape[-1] // 2, dims=-1)  # each feature's other one
    return torch.addcmul(features * cos, halves, sin).type_as(features)
