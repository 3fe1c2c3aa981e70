"""Transformers for text, language modelling, seq2seq, time series and small images."""

from __future__ import annotations

import zoo


@zoo.hookimpl
def zoo_models() -> list[zoo.ModelSpec]:
    """The architectures that `models.toml` describes."""
    return zoo.read_models(__package__, "models.toml")


@zoo.hookimpl
def zoo_weights() -> list[zoo.WeightsSpec]:
    """The published weights that `weights.toml` lists, on the Hugging Face hub."""
    return zoo.read_weights(__package__, "weights.toml")
