"""Recurrent networks for text, language modelling, seq2seq and time series."""

from __future__ import annotations

import zoo


@zoo.hookimpl
def zoo_models() -> list[zoo.ModelSpec]:
    """The architectures that `models.toml` describes."""
    return zoo.read_models(__package__, "models.toml")
