"""GPT-2 (Radford et al., "Language models are unsupervised multitask learners", 2019), as published."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

import zoo
from zoo_transformer.block import State, Style, Transformer, continued
from zoo_transformer.problems import check_same
from zoo_transformer.published import STD, WITH_THE_LAST, check_options, initialise

NEVER = -1e4  # the logit of padding: no share of a probability is left, and fp16 can hold it


def gpt2(
    problem: zoo.Problem,
    *,
    dim: int = 768,
    depth: int = 12,
    heads: int = 12,
    hidden: int | None = None,
    positions: int = 1024,
    activation: str = "gelu_tanh",
    eps: float = 1e-5,
    dropout: float = 0.1,
) -> nn.Module:
    """A causal language model: tokens `[B, T]` to logits `[B, T, V]` for the token after each.

    `dim` is the size of a token's vector, `depth` the number of blocks, `heads` that of attention heads,
    `hidden` the width of the MLPs (by default four times `dim`), `positions` the longest sequence,
    `dropout` the share of the embeddings and of what a block adds that is left out. Padding has no vector:
    the paper's vocabulary has none, and the zoo's token `n` is its token `n - 1`.

    Raises `zoo.SpecError` for a problem without tokens in and out, for other tokens out than in, or for
    options that do not fit one another.
    """
    source, target = problem.expect("gpt2", zoo.TokenInput, zoo.TokenOutput)
    check_same("gpt2", "vocab_size", source.vocab_size, target.vocab_size)
    check_options(
        "gpt2", dim=dim, heads=heads, activation=activation, length=source.length, positions=positions
    )
    style = Style(rotary=False, bias=True, activation=activation, hidden=hidden or 4 * dim, eps=eps)
    decoder = Transformer(dim, depth, heads, causal=True, dropout=dropout, style=style)
    return GPT2(source.vocab_size - 1, positions, decoder, dim, dropout)


class GPT2(nn.Module):
    """Vectors for tokens and places, causal blocks, and the tokens' vectors again to score the next."""

    def __init__(self, words: int, positions: int, decoder: Transformer, dim: int, dropout: float) -> None:
        super().__init__()
        self.embedding = nn.Embedding(words, dim)
        self.positions = nn.Embedding(positions, dim)
        self.decoder = decoder
        self.dropout = nn.Dropout(dropout)
        self.apply(initialise)
        for block in decoder.blocks:  # what is added to the stream, less for each addition (section 2.3)
            for layer in (block.attention.out, block.mlp.contract):
                nn.init.normal_(layer.weight, std=STD / (2 * len(decoder.blocks)) ** 0.5)

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """Which parameters belong to which layer, in timm's words, for learning rates that fall by layer."""
        blocks = r"^decoder\.blocks" if coarse else r"^decoder\.blocks\.(\d+)"
        layers = [(blocks, None), (r"^decoder\.norm", WITH_THE_LAST)]
        return {"stem": r"^embedding|^positions", "blocks": layers}

    @property
    def step_limit(self) -> int:
        """How many tokens a state holds."""
        return self.positions.num_embeddings

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens `[B, T]` to logits `[B, T, V]`; padding on the right is seen by no token before it."""
        return self._logits(tokens, None)

    def step(self, tokens: Tensor, state: State = None) -> tuple[Tensor, State]:
        """More tokens `[B, T]` to logits `[B, T, V]`, and the state to go on from; the one given is used up.

        Raises `zoo.DataError` for more than `step_limit` tokens, or a state of another number of texts.
        """
        state = continued(state, tokens, depth=len(self.decoder.blocks), limit=self.step_limit)
        return self._logits(tokens, state), state

    def _logits(self, tokens: Tensor, past: State) -> Tensor:
        start = past[0].size if past else 0
        words = (tokens - 1).clamp_min(0)
        hidden = self.embedding(words) + self.positions.weight[start : start + tokens.shape[1]]
        hidden = self.decoder(self.dropout(hidden), past=past)  # [B, T, D]
        logits = F.linear(hidden, self.embedding.weight)  # [B, T, V - 1]
        return F.pad(logits, (1, 0), value=NEVER)
