"""Convolutional networks for small images, text and time series."""

from __future__ import annotations

import zoo


@zoo.hookimpl
def zoo_models() -> list[zoo.ModelSpec]:
    """The architectures that `models.toml` describes."""
    return zoo.read_models(__package__, "models.toml")


@zoo.hookimpl
def zoo_evidence() -> list[zoo.Evidence]:
    """What their papers report, in `evidence.toml`."""
    return zoo.read_evidence(__package__, "evidence.toml")
