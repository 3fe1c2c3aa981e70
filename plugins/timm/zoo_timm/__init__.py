"""Every image architecture that timm knows, with its weights on the hub."""

from __future__ import annotations

from typing import Any

import zoo
from zoo_timm.installed import architectures, has_all_of
from zoo_timm.weights import read_table, specs

PLUGIN = "timm"


@zoo.hookimpl
def zoo_models() -> list[zoo.ModelSpec]:
    """The architectures of `models.json`; under another release of timm, those of them that it has."""
    models = zoo.read_models(__package__, "models.json")
    if has_all_of(read_table().timm):
        return models
    known = architectures()
    return [model for model in models if model.name in known]


@zoo.hookimpl
def zoo_weights() -> list[zoo.WeightsSpec]:
    """The weights on the hub that `weights.json` lists."""
    return specs(read_table())


@zoo.hookimpl
def zoo_callbacks(run: zoo.Run) -> list[Any]:
    """What makes a finished run of one of our models a folder that timm loads by itself."""
    if not run.record.model.startswith(f"{PLUGIN}/"):
        return []
    from zoo_timm.export import ConfigForTimm  # imports torch

    return [ConfigForTimm()]
