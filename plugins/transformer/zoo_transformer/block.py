"""The block that every model of this package is a stack of.

Pre-norm (Xiong et al. 2020, figure 1b) with rotary positions (Su et al. 2021) and a SwiGLU MLP (Shazeer
2020); no biases. LayerNorm rather than RMSNorm: torch fuses it in mixed precision too. A `Style` makes it
that of a model which was published otherwise. In shapes, B is the batch, T and S the lengths of two
sequences, D the model's dimension, N the number of heads.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import zoo

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "gelu_tanh": partial(F.gelu, approximate="tanh"),
    "relu": F.relu,
}


@dataclass(frozen=True, kw_only=True)
class Style:
    """How a block is made; as it stands, this package's own way.

    `activation` is that of the MLP: `swiglu`, or one of `ACTIVATIONS` in an MLP `hidden` wide. `post_norm`
    has the norm after each sum (Xiong et al. 2020, figure 1a), and then none at the end of the stack.
    """

    rotary: bool = True
    bias: bool = False
    post_norm: bool = False
    activation: str = "swiglu"
    hidden: int = 0
    eps: float = 1e-5

    def norm(self, dim: int) -> nn.LayerNorm:
        """LayerNorm over `dim` features."""
        return nn.LayerNorm(dim, eps=self.eps, bias=self.bias)

    def mlp(self, dim: int) -> nn.Module:
        """What works on each position by itself."""
        return SwiGLU(dim) if self.activation == "swiglu" else MLP(dim, self)


OURS = Style()


class Past:
    """The keys and values that one block's attention has read, so that they are not computed again."""

    def __init__(self, limit: int) -> None:
        self.limit, self.size = limit, 0
        self._kept: Tensor | None = None  # [2, B, N, limit, D / N], made once

    def join(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """All up to the new ones `[B, N, T, D / N]`, in order."""
        count, heads, new, size = key.shape
        if self._kept is None:
            self._kept = key.new_empty(2, count, heads, self.limit, size)
        end = self.size + new
        self._kept[0, :, :, self.size : end], self._kept[1, :, :, self.size : end] = key, value
        self.size = end
        return self._kept[0, :, :, :end], self._kept[1, :, :, :end]

    def check(self, tokens: Tensor) -> None:
        """Raises `zoo.DataError` where `tokens[B, T]` are too many, or of another number of texts."""
        if self._kept is not None and self._kept.shape[1] != len(tokens):
            raise zoo.DataError(
                f"a state of {self._kept.shape[1]} texts for a batch of {len(tokens)}; "
                "go on with the texts that it is of, or begin with none"
            )
        if self.size + tokens.shape[1] > self.limit:
            raise zoo.DataError(
                f"{self.size + tokens.shape[1]:,} tokens for a state that holds {self.limit:,}; "
                "begin with none and the last of them"
            )


State = list[Past] | None  # of every block


def continued(state: State, tokens: Tensor, *, depth: int, limit: int) -> list[Past]:
    """The state, or a new one of `depth` blocks, that has room for `tokens[B, T]`; raises `zoo.DataError`."""
    state = state or [Past(limit) for _ in range(depth)]
    state[0].check(tokens)
    return state


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
        self.blocks = nn.ModuleList(
            Block(dim, heads, causal=causal, cross=cross, dropout=dropout, style=style) for _ in range(depth)
        )
        self.norm = nn.Identity() if style.post_norm else style.norm(dim)

    def forward(
        self,
        hidden: Tensor,
        *,
        positions: Tensor | None = None,
        keep: Tensor | None = None,
        memory: Tensor | None = None,
        memory_keep: Tensor | None = None,
        past: Sequence[Past] | None = None,
    ) -> Tensor:
        """`hidden[B, T, D]` to the same shape.

        `positions[T, axes]`: where each element is, along one axis or several; by default 0 to T - 1.
        `keep[B, T]` and `memory_keep[B, S]`: which elements of `hidden` and `memory[B, S, D]` may be
        seen, at least one in each row; by default all. A causal stack takes no `keep`: what comes after
        an element it does not see anyhow. `past`, of a causal stack, has for each block what came before,
        and takes `hidden` in.
        """
        turns = self._turns(hidden, positions) if self.pairs else None
        for number, block in enumerate(self.blocks):
            hidden = block(hidden, turns, keep, memory, memory_keep, past[number] if past else None)
        out: Tensor = self.norm(hidden)
        return out

    def _turns(self, hidden: Tensor, positions: Tensor | None) -> Tensor:
        if positions is None:
            positions = torch.arange(hidden.shape[1], device=hidden.device)[:, None]
        return rotary_turns(positions, self.pairs, self.base)


class Block(nn.Module):
    """Attention, attention to a memory where there is one, then an MLP; each added to its input."""

    def __init__(
        self, dim: int, heads: int, *, causal: bool, cross: bool, dropout: float, style: Style = OURS
    ) -> None:
        super().__init__()
        self.post_norm = style.post_norm
        self.norm_attention = style.norm(dim)
        self.attention = Attention(dim, heads, causal=causal, bias=style.bias)
        if cross:
            self.norm_cross = style.norm(dim)
            self.cross = Attention(dim, heads, bias=style.bias)
        self.norm_mlp = style.norm(dim)
        self.mlp = style.mlp(dim)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        hidden: Tensor,
        turns: Tensor | None,
        keep: Tensor | None,
        memory: Tensor | None,
        memory_keep: Tensor | None,
        past: Past | None = None,
    ) -> Tensor:
        """`hidden[B, T, D]` to the same shape."""
        hidden = self._add(
            hidden, self.norm_attention, lambda seen: self.attention(seen, seen, keep, turns, past)
        )
        if memory is not None:
            hidden = self._add(hidden, self.norm_cross, lambda seen: self.cross(seen, memory, memory_keep))
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

    def __init__(self, dim: int, heads: int, *, causal: bool = False, bias: bool = False) -> None:
        super().__init__()
        self.heads = heads
        self.causal = causal
        self.query = nn.Linear(dim, dim, bias=bias)
        self.key_value = nn.Linear(dim, 2 * dim, bias=bias)
        self.out = nn.Linear(dim, dim, bias=bias)

    def forward(
        self,
        hidden: Tensor,
        memory: Tensor,
        keep: Tensor | None = None,
        turns: Tensor | None = None,
        past: Past | None = None,
    ) -> Tensor:
        """`hidden[B, T, D]` sees `memory[B, S, D]` where `keep[B, S]`; gives `[B, T, D]`.

        `turns` holds the rotary positions where the two are one sequence; `past` what came before it.
        """
        query = self._split(self.query(hidden))  # [B, N, T, D / N]
        key, value = map(self._split, self.key_value(memory).chunk(2, dim=2))  # [B, N, S, D / N]
        if turns is not None:
            query, key = rotate(query, turns), rotate(key, turns)
        mask = None if keep is None else keep[:, None, None]  # [B, 1, 1, S]
        causal = self.causal
        if past is not None:
            key, value = past.join(key, value)
            causal = key.shape[2] == query.shape[2]
            mask = None if causal else _later(query.shape[2], key.shape[2], query.device)
        found = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, is_causal=causal)
        out: Tensor = self.out(found.transpose(1, 2).flatten(2))
        return out

    def _split(self, features: Tensor) -> Tensor:
        return features.view(*features.shape[:2], self.heads, -1).transpose(1, 2)


def _later(new: int, total: int, device: torch.device) -> Tensor:
    """Which of `total` elements each of the last `new` ones may see: bool `[new, total]`."""
    return torch.ones(new, total, dtype=torch.bool, device=device).tril(total - new)


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
