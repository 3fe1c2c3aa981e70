"""The check of what a plugin's records name."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.resources import files

from zoo.errors import SpecError, ZooError, closest
from zoo.recipes import misfits, plugin_recipe, recipe_path
from zoo.registry import Model, Plugin, Registry
from zoo.testing.check import ConformanceError
from zoo.training.optimizers import optimizer_faults


def check_manifest(registry: Registry, plugin: Plugin) -> None:
    """Hooks give records; builders, recipes, tasks, data sets and models that they name are there."""
    registry.call_hooks()
    if not plugin.active:
        raise ConformanceError(f"{plugin.name} is set aside: {plugin.reason}; {plugin.mend}")
    faults = list(dict.fromkeys(_faults(registry, plugin)))
    if faults:
        raise ConformanceError(f"{plugin.name}: {'; '.join(faults)}")


def _faults(registry: Registry, plugin: Plugin) -> Iterator[str]:
    for model in registry.models.values():
        if model.plugin is plugin:
            yield from registry.task_faults(model)
            yield from _told(registry.resolve, plugin, model.spec.builder)
            for named in (model.spec.adapter, model.spec.layout):
                if named:
                    yield from _told(registry.resolve, plugin, named)
            for task in model.spec.recipes:
                yield from _told(_check_recipe, model, task)
    for task_spec in registry.tasks_of(plugin):
        yield from _told(registry.task_implementation, task_spec.name)
    for dataset_spec in registry.datasets_of(plugin):
        yield from _told(registry.dataset_loader, dataset_spec.name)
    for weights in registry.weights_of(plugin):
        home = registry.plugins.get(weights.model.partition("/")[0])
        if weights.model not in registry.models and home is not None and home.active:
            yield f"weights {weights.name}: no such model{_hint(weights.model, list(registry.models))}"
    yield from _stray_facts(registry, plugin)


def _told(work, *arguments: object) -> Iterator[str]:  # type: ignore[no-untyped-def]
    try:
        work(*arguments)
    except ZooError as error:
        yield getattr(error, "reason", str(error))


def _check_recipe(model: Model, task: str) -> None:
    """Whatever the file and its variants can come to, the model can be trained with."""
    found = plugin_recipe(model, task)
    faults = misfits(model, found)
    faults += found.faults(
        lambda settings: optimizer_faults(settings["optimizer"]) if "optimizer" in settings else ()
    )
    if faults:
        raise SpecError(f"{model.plugin.module_name}/{recipe_path(model, task)}", faults)


def _stray_facts(registry: Registry, plugin: Plugin) -> Iterator[str]:
    """The names in `facts.json` that no model has."""
    package = getattr(plugin.module, "__package__", None)
    file = files(package).joinpath("facts.json") if package else None
    if file is None or not file.is_file():
        return
    names = [model.spec.name for model in registry.models.values() if model.plugin is plugin]
    for name in json.loads(file.read_bytes()):
        if name not in names:
            yield f"facts.json has facts of {name!r}, which is no model{_hint(name, names)}; remove them"


def _hint(name: str, known: list[str]) -> str:
    close = closest(name, known)
    return f" (did you mean {close[0]}?)" if close else ""
