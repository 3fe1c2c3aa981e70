"""Trained weights for the models of the zoo's own plugins: data, and the record of each file."""

from __future__ import annotations

import zoo

ALIKE = {"transformer/gpt": "transformer/gpt_nano"}  # a default of the very shape that a size has


@zoo.hookimpl
def zoo_weights() -> list[zoo.WeightsSpec]:
    """The weights that `weights.json` lists; of a model that is a named size too, under both names."""
    records = zoo.read_weights(__package__, "weights.json")
    twice = [record.replace(model=ALIKE[record.model]) for record in records if record.model in ALIKE]
    return [*records, *twice]
