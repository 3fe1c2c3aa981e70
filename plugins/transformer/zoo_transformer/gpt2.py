"""GPT-2 (Radford et al., "Language models are unsupervised multitask learners", 2019), as published."""

from __future__ import annotations

from typing import Any

from torch import nn

import zoo
from zoo_transformer.block import Style, Transformer
from zoo_transformer.gpt import GPT
from zoo_transformer.problems import check_same
from zoo_transformer.published import STD, check_options, initialise


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
    module = GPT(
        nn.Embedding(source.vocab_size - 1, dim),
        Transformer(dim, depth, heads, causal=True, dropout=dropout, style=style),
        limit=positions,
        positions=nn.Embedding(positions, dim),
        padded=False,
        dropout=dropout,
    ).apply(initialise)
    blocks: Any = module.decoder.blocks
    for block in blocks:  # what is added to the stream, less for each addition (section 2.3)
        for layer in (block.attention.out, block.mlp.contract):
            nn.init.normal_(layer.weight, std=STD / (2 * depth) ** 0.5)
    return module
