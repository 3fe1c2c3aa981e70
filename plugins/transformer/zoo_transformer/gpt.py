"""GPT-2 (Radford et al., "Language models are unsupervised multitask learners", 2019), in any size."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

import zoo
from zoo_transformer.block import ACTIVATIONS, NORMS, Style, Transformer
from zoo_transformer.problems import check_heads, check_same, unknown_names
from zoo_transformer.published import WITH_THE_LAST
from zoo_transformer.state import State
from zoo_transformer.tokens import PADDING, embedding, places_of

NEVER = -1e4  # the logit of padding: no share of a probability is left, and fp16 can hold it
POSITIONS = ("rotary", "learned")


def gpt(
    problem: zoo.Problem,
    *,
    dim: int = 128,
    depth: int = 4,
    heads: int = 4,
    dropout: float = 0.0,
    positions: str = "rotary",
    norm: str = "layer",
    activation: str = "swiglu",
    bias: bool = False,
    kv_heads: int | None = None,
    qk_norm: bool = False,
    tied: bool = True,
) -> nn.Module:
    """A causal language model: tokens `[B, T]` to logits `[B, T, V]` for the token after each.

    `dim` is the size of a token's vector, `depth` the number of blocks, `heads` that of attention
    heads, `dropout` the share of the vectors and of what a block adds that is left out. `positions` are
    `rotary`, with which T may be any number, though little is to be hoped for far beyond the length in
    training, or `learned`, with which it may not. `norm`, `activation`, `bias`, `kv_heads` (by default as
    many as heads) and `qk_norm` are those of `zoo_transformer.block.Style`, an MLP other than SwiGLU being
    four times `dim` wide. A `tied` head is the table of token vectors itself (Press & Wolf 2017).

    GPT-2's own way is `positions="learned", activation="gelu_tanh", bias=True`; Llama's (Touvron et al.
    2023) is `norm="rms", tied=False`.

    Raises `zoo.SpecError` for a problem without tokens in and out, for other tokens out than in, or for
    options that do not fit one another.
    """
    source, target = problem.expect("gpt", zoo.TokenInput, zoo.TokenOutput)
    check_same("gpt", "vocab_size", source.vocab_size, target.vocab_size)
    check_heads("gpt", dim, heads)
    faults = unknown_names(
        positions=(positions, POSITIONS),
        norm=(norm, NORMS),
        activation=(activation, ("swiglu", *ACTIVATIONS)),
    )
    if kv_heads is not None and (kv_heads < 1 or heads % kv_heads):
        faults.append(f"kv_heads = {kv_heads}: does not divide heads = {heads}")
    if faults:
        raise zoo.SpecError("gpt", faults)
    style = Style(
        rotary=positions == "rotary",
        bias=bias,
        activation=activation,
        hidden=4 * dim,
        norm=norm,
        kv_heads=kv_heads or 0,
        qk_norm=qk_norm,
    )
    return GPT(
        embedding(source.vocab_size, dim),
        Transformer(dim, depth, heads, causal=True, dropout=dropout, style=style),
        limit=source.length,
        positions=embedding(source.length, dim) if positions == "learned" else None,
        head=None if tied else nn.Linear(dim, source.vocab_size, bias=False),
        dropout=dropout,
    )


class GPT(nn.Module):
    """Token vectors, those of places where they are learned, causal blocks, and a score for each next token.

    A state holds `limit` tokens. Where `padded` is false, padding has no vector: token `n` is row `n - 1`.
    """

    def __init__(
        self,
        words: nn.Embedding,
        decoder: Transformer,
        *,
        limit: int,
        positions: nn.Embedding | None,
        head: nn.Linear | None = None,
        padded: bool = True,
        dropout: float,
    ) -> None:
        super().__init__()
        self.step_limit, self.padded = limit, padded
        self.embedding = words
        self.positions = positions
        self.decoder = decoder
        self.head = head
        self.dropout = nn.Dropout(dropout)

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """Which parameters belong to which layer, in timm's words, for learning rates that fall by layer."""
        blocks = r"^decoder\.blocks" if coarse else r"^decoder\.blocks\.(\d+)"
        layers = [(blocks, None), (r"^decoder\.norm|^head", WITH_THE_LAST)]
        return {"stem": r"^embedding|^positions", "blocks": layers}

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens `[B, T]` to logits `[B, T, V]`; padding is seen by no token.

        In training it must be on the right, where none sees it anyhow: attention is faster without a mask.
        Raises `zoo.DataError` for more tokens than there are learned places.
        """
        if self.training:
            return self._scores(self.decoder(self._vectors(tokens, None)))
        real = tokens != PADDING
        return self._scores(self.decoder(self._vectors(tokens, places_of(real)), keep=real))

    def start(self) -> State:
        """The state of no text yet."""
        return State(len(self.decoder.blocks), limit=self.step_limit)

    def step(self, tokens: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """More tokens `[B, T]` to logits `[B, T, V]`, and the state to go on from; the one given is used up.

        Texts of unequal length begin with padding. Raises `zoo.DataError` for more than `step_limit` tokens,
        or a state of another number of texts.
        """
        state = state or self.start()
        places, real = state.take(tokens)
        return self._scores(self.decoder(self._vectors(tokens, places), keep=real, state=state)), state

    def choose(self, state: State, rows: Tensor) -> State:
        """The state of some rows of the batch, `[N]`, in any order."""
        return state.choose(rows)

    def _vectors(self, tokens: Tensor, places: Tensor | None) -> Tensor:
        """`[B, T, D]` of tokens at those places, `[T]` or `[B, T]`, by default 0 to T - 1."""
        vectors: Tensor = self.embedding(tokens if self.padded else (tokens - 1).clamp_min(0))
        if self.positions is not None:
            length, room = tokens.shape[1], self.positions.num_embeddings
            if length > room:
                raise zoo.DataError(
                    f"{length:,} tokens for a model with {room:,} places; give the last of them"
                )
            vectors = vectors + (self.positions.weight[:length] if places is None else self.positions(places))
        out: Tensor = self.dropout(vectors)
        return out

    def _scores(self, hidden: Tensor) -> Tensor:
        """`[B, T, D]` to `[B, T, V]`."""
        logits = F.linear(hidden, self.embedding.weight if self.head is None else self.head.weight)
        return logits if self.padded else F.pad(logits, (1, 0), value=NEVER)
