"""Trained weights for the models of the zoo's own plugins: data, and the record of each file."""

from __future__ import annotations

import zoo


@zoo.hookimpl
def zoo_weights() -> list[zoo.WeightsSpec]:
    """The weights that `weights.json` lists."""
    return zoo.read_weights(__package__, "weights.json")
