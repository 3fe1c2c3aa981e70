"""What the page knows of models and devices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zoo import licenses
from zoo.columns import macs
from zoo.errors import PluginError
from zoo.listing import as_record
from zoo.recipes import plugin_recipe, resolve_recipe
from zoo.recipetext import to_toml
from zoo.recommender import estimate_memory, find_device, load_at
from zoo.recommender.cost import available_memory
from zoo.recommender.facts import shape_seen
from zoo.registry import Model, Registry
from zoo.specs import Budget, Device, ImageInput, WeightsSpec, to_builtins


def device_entries(registry: Registry) -> list[dict[str, Any]]:
    """Each device of the table, with the bytes that a training may take on it.

    What it does take depends on what its device `needs`: on the kind, and on whether it computes in bf16.
    """
    devices = [find_device(registry, name) for name in registry.devices]
    return [
        {
            "name": device.spec.name,
            "title": device.spec.title or device.spec.name,
            "kind": device.spec.kind,
            "available": available_memory(device, Budget()),
            "needs": _needs(device),
        }
        for device in devices
    ]


def model_entries(registry: Registry) -> tuple[list[dict[str, Any]], list[str]]:
    """Each model as `zoo list --json` has it and what its page shows besides; the texts of all recipes.

    Models name a recipe by its place among the texts, since most share theirs.
    """
    texts: dict[str, int] = {}
    devices = [find_device(registry, name) for name in registry.devices]
    examples = {_needs(device): device for device in devices}
    entries = [_entry(model, texts, examples) for _, model in sorted(registry.models.items())]
    return entries, list(texts)


def _needs(device: Device) -> str:
    return f"{device.spec.kind}-bf16" if "bf16" in device.spec.peak_flops else device.spec.kind


def _entry(model: Model, texts: dict[str, int], examples: Mapping[str, Device]) -> dict[str, Any]:
    entry = as_record(model)
    entry["commercial"] = licenses.commercial(model.spec.license)
    entry["needs"] = _memory(model, examples)
    entry["recipes"] = {task: texts.setdefault(_recipe(model, task), len(texts)) for task in model.spec.tasks}
    for record, weights in zip(entry["weights"], model.weights, strict=True):
        record.update(_weights_entry(model, weights))
    return entry


def _recipe(model: Model, task: str) -> str:
    """What the model is trained with, as TOML; in its place, why that cannot be read."""
    try:
        found = plugin_recipe(model, task)
    except PluginError as error:
        return f"# {error}\n"
    return to_toml(found.settings, found.variants) or "# the defaults of zoo.Recipe\n"


def _memory(model: Model, examples: Mapping[str, Device]) -> dict[str, float]:
    """The most bytes that a training at the model's reference is expected to take, by kind of device."""
    spec = model.spec
    if spec.reference is None or spec.facts is None:
        return {}
    try:
        recipe = resolve_recipe(model, spec.reference.task)
    except PluginError:
        return {}
    load = load_at(spec, spec.reference, shape_seen(spec, spec.reference, recipe))
    if load is None:
        return {}
    return {needs: estimate_memory(load, recipe, device).high for needs, device in examples.items()}


def _weights_entry(model: Model, weights: WeightsSpec) -> dict[str, Any]:
    """What a page shows of weights beyond `zoo list --json`; what is not known is left out."""
    seen = weights.problem.input if weights.problem else None
    known = {
        "commercial": licenses.commercial(*licenses.applying(weights)),
        "sha256": weights.sha256,
        "sources": weights.sources,
        "macs": macs(model, weights),
        "image": f"{seen.channels}x{seen.height}x{seen.width}" if isinstance(seen, ImageInput) else None,
        "classes": len(weights.labels) or None,
        "repeats": weights.repeats,
        "preprocess": to_builtins(weights.preprocess) if weights.preprocess else None,
    }
    return {name: value for name, value in known.items() if value not in (None, (), "")}
