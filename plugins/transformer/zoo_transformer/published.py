"""What BERT and GPT-2 have in common: how they are made, and what may be asked of them."""

from __future__ import annotations

from torch import nn

import zoo
from zoo_transformer.block import ACTIVATIONS
from zoo_transformer.problems import check_heads, check_names

STD = 0.02  # of all weights at first, in both papers' code
WITH_THE_LAST = (99_999,)  # timm's word for parameters that belong to the block before them


def check_options(model: str, *, dim: int, heads: int, activation: str, length: int, positions: int) -> None:
    """Raises `zoo.SpecError` for options that do not fit one another, or sequences longer than positions."""
    check_heads(model, dim, heads)
    check_names(model, activation=(activation, ACTIVATIONS))
    if length > positions:
        raise zoo.SpecError(
            model, [f"positions = {positions}: fewer than the {length} tokens of the problem; set more"]
        )


def initialise(module: nn.Module) -> None:
    """Small normal weights, no biases; to be applied to each part of a model."""
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=STD)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)
