"""GPT-2 (Radford et al., "Language models are unsupervised multitask learners", 2019), in small."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import zoo
from zoo_transformer.block import State, Transformer, continued
from zoo_transformer.problems import check_heads, check_same
from zoo_transformer.tokens import embedding


def gpt(
    problem: zoo.Problem, *, dim: int = 128, depth: int = 4, heads: int = 4, dropout: float = 0.0
) -> nn.Module:
    """A causal language model: tokens `[B, T]` to logits `[B, T, V]` for the token after each.

    `dim` is the size of a token's vector, `depth` the number of blocks, `heads` that of attention
    heads, `dropout` the share of what a block adds that is left out. The head is the table of token
    vectors itself (Press & Wolf 2017). Positions are relative, so T may be any number, though little
    is to be hoped for far beyond the length in training.

    Raises `zoo.SpecError` for a problem without tokens in and out, for other tokens out than in, or for
    a `dim` that does not divide into heads.
    """
    source, target = problem.expect("gpt", zoo.TokenInput, zoo.TokenOutput)
    check_same("gpt", "vocab_size", source.vocab_size, target.vocab_size)
    check_heads("gpt", dim, heads)
    return GPT(source, dim, depth, heads, dropout)


class GPT(nn.Module):
    """Token vectors, causal blocks, and the same vectors again to score the next token."""

    def __init__(self, source: zoo.TokenInput, dim: int, depth: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.step_limit = source.length  # tokens that a state holds: those of a training sequence
        self.embedding = embedding(source.vocab_size, dim)
        self.decoder = Transformer(dim, depth, heads, causal=True, dropout=dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens `[B, T]` to logits `[B, T, V]`; padding on the right is seen by no token before it."""
        hidden = self.decoder(self.embedding(tokens))  # [B, T, D]
        return F.linear(hidden, self.embedding.weight)

    def step(self, tokens: Tensor, state: State = None) -> tuple[Tensor, State]:
        """More tokens `[B, T]` to logits `[B, T, V]`, and the state to go on from; the one given is used up.

        Raises `zoo.DataError` for more than `step_limit` tokens, or a state of another number of texts.
        """
        state = continued(state, tokens, depth=len(self.decoder.blocks), limit=self.step_limit)
        places = torch.arange(state[0].size, state[0].size + tokens.shape[1], device=tokens.device)
        hidden = self.decoder(self.embedding(tokens), positions=places[:, None], past=state)  # [B, T, D]
        return F.linear(hidden, self.embedding.weight), state
