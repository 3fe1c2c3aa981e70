"""Encoder and decoder (Vaswani et al., "Attention is all you need", NeurIPS 2017)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

import zoo
from zoo_transformer.block import Transformer
from zoo_transformer.problems import check_heads
from zoo_transformer.tokens import embedding, real_tokens


def seq2seq(
    problem: zoo.Problem, *, dim: int = 96, depth: int = 2, heads: int = 4, dropout: float = 0.1
) -> nn.Module:
    """One sequence from another: source `[B, S]` and target so far `[B, T]` to logits `[B, T, V]`.

    `dim` is the size of a token's vector, `depth` the number of blocks in the encoder and again in the
    decoder, `heads` that of attention heads, `dropout` the share of what a block adds that is left
    out. Sources and targets have token vectors of their own, since they need not be of the same
    vocabulary; the head is the table of the targets' vectors (section 3.4).

    Raises `zoo.SpecError` for a problem without tokens in and out, or a `dim` that does not divide into
    heads.
    """
    source, target = problem.expect("seq2seq", zoo.TokenInput, zoo.TokenOutput)
    check_heads("seq2seq", dim, heads)
    return Seq2Seq(source.vocab_size, target.vocab_size, dim, depth, heads, dropout)


class Seq2Seq(nn.Module):
    """An encoder of the source, and a causal decoder that sees all of what it gives."""

    def __init__(
        self, source_vocab: int, target_vocab: int, dim: int, depth: int, heads: int, dropout: float
    ) -> None:
        super().__init__()
        self.source_embedding = embedding(source_vocab, dim)
        self.encoder = Transformer(dim, depth, heads, dropout=dropout)
        self.target_embedding = embedding(target_vocab, dim)
        self.decoder = Transformer(dim, depth, heads, causal=True, cross=True, dropout=dropout)

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """Source `[B, S]`, target `[B, T]` to logits `[B, T, V]`; padding is seen in neither."""
        real = real_tokens(source)  # [B, S]
        memory = self.encoder(self.source_embedding(source), keep=real)  # [B, S, D]
        hidden = self.decoder(self.target_embedding(target), memory=memory, memory_keep=real)  # [B, T, D]
        return F.linear(hidden, self.target_embedding.weight)
