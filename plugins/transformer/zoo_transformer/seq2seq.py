"""Encoder and decoder (Vaswani et al., "Attention is all you need", NeurIPS 2017)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import zoo
from zoo_transformer.block import OURS, Style, Transformer, angles_of
from zoo_transformer.problems import check_heads, check_names
from zoo_transformer.state import State
from zoo_transformer.tokens import embedding, places_of, real_tokens

STYLES = ("modern", "vaswani")


def seq2seq(
    problem: zoo.Problem,
    *,
    dim: int = 96,
    depth: int = 2,
    heads: int = 4,
    dropout: float = 0.1,
    style: str = "modern",
) -> nn.Module:
    """One sequence from another: source `[B, S]` and target so far `[B, T]` to logits `[B, T, V]`.

    `dim` is the size of a token's vector, `depth` the number of blocks in the encoder and again in the
    decoder, `heads` that of attention heads, `dropout` the share of what a block adds that is left
    out. Sources and targets have token vectors of their own, since they need not be of the same
    vocabulary; the head is the table of the targets' vectors (section 3.4).

    `style` is `modern`, this package's own block, or `vaswani`, that of the paper: the norm after each sum,
    ReLU in an MLP four times `dim` wide, biases, vectors times the root of `dim` and sinusoids added to
    them, of which a share is left out too (section 5.4).

    Raises `zoo.SpecError` for a problem without tokens in and out, an unknown style, or a `dim` that does
    not divide into heads.
    """
    source, target = problem.expect("seq2seq", zoo.TokenInput, zoo.TokenOutput)
    check_heads("seq2seq", dim, heads)
    check_names("seq2seq", style=(style, STYLES))
    paper = Style(rotary=False, bias=True, post_norm=True, activation="relu", hidden=4 * dim)
    chosen = paper if style == "vaswani" else OURS
    return Seq2Seq(
        embedding(source.vocab_size, dim),
        Transformer(dim, depth, heads, dropout=dropout, style=chosen),
        embedding(target.vocab_size, dim),
        Transformer(dim, depth, heads, causal=True, cross=True, dropout=dropout, style=chosen),
        dropout=0.0 if chosen.rotary else dropout,
    )


class Seq2Seq(nn.Module):
    """An encoder of the source, and a causal decoder that sees all of what it gives.

    Where the blocks have no rotary positions, sinusoids are added to the vectors; `dropout` lies on these.
    """

    def __init__(
        self,
        source_words: nn.Embedding,
        encoder: Transformer,
        target_words: nn.Embedding,
        decoder: Transformer,
        *,
        dropout: float,
    ) -> None:
        super().__init__()
        self.source_embedding = source_words
        self.encoder = encoder
        self.target_embedding = target_words
        self.decoder = decoder
        self.dropout = nn.Dropout(dropout)

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """Source `[B, S]`, target `[B, T]` to logits `[B, T, V]`; padding is seen in neither."""
        memory, real = self._encode(source)
        places = torch.arange(target.shape[1], device=target.device)
        vectors = self._vectors(self.target_embedding, target, places)
        hidden = self.decoder(vectors, memory=memory, memory_keep=real)  # [B, T, D]
        return F.linear(hidden, self.target_embedding.weight)

    def start(self, source: Tensor) -> State:
        """What the decoder looks up of `source[B, S]`, and no target yet."""
        memory, real = self._encode(source)
        return State(len(self.decoder.blocks), memory=self.decoder.read(memory), memory_keep=real)

    def step(self, target: Tensor, state: State) -> tuple[Tensor, State]:
        """More tokens of the target `[B, T]` to logits `[B, T, V]`, and the state after them.

        The one given is used up. Raises `zoo.DataError` for that of another number of sources.
        """
        places, real = state.take(target)
        vectors = self._vectors(self.target_embedding, target, places)
        hidden = self.decoder(vectors, keep=real, state=state)
        return F.linear(hidden, self.target_embedding.weight), state

    def choose(self, state: State, rows: Tensor) -> State:
        """The state of some rows of the batch, `[N]`, in any order, left out or repeated."""
        return state.choose(rows)

    def _encode(self, source: Tensor) -> tuple[Tensor, Tensor]:
        """`source[B, S]` as memory `[B, S, D]`, and which of it is real, `[B, S]`."""
        real = real_tokens(source)
        vectors = self._vectors(self.source_embedding, source, places_of(real))
        return self.encoder(vectors, keep=real), real

    def _vectors(self, words: nn.Embedding, tokens: Tensor, places: Tensor) -> Tensor:
        """`[B, T, D]` of tokens at those places, `[T]` or `[B, T]`."""
        vectors: Tensor = words(tokens)
        if self.encoder.pairs:  # the blocks turn by the places themselves
            return vectors
        dim = vectors.shape[2]
        angles = angles_of(places[..., None], dim // 2, self.encoder.base)  # [..., T, D / 2]
        waves = torch.cat([angles.sin(), angles.cos()], dim=-1)
        out: Tensor = self.dropout(vectors * dim**0.5 + waves)
        return out
