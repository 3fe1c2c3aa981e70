"""Everything that can be seen of a plugin without training: what `zoo plugins doctor` finds beforehand.

Whatever the registry sets a plugin aside for is known already; here its torch side is imported, models are
built, and recipes, weights' files, data sets and tasks are looked at as their users would.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any

from zoo.errors import PluginError, WeightsError, ZooError, closest
from zoo.plugins import Plugin
from zoo.recipes import plugin_recipe
from zoo.registry import Model, Registry
from zoo.specs import WeightsSpec

EVERY = 50  # models of a plugin that are all built; of a larger one, the first of each builder is
HERE = ("package:", "file:")  # sources whose files come with an installation


@dataclass(frozen=True)
class Fault:
    """What is wrong with a plugin, and what to do about it."""

    reason: str
    mend: str


@dataclass
class Diagnosis:
    """One plugin, its faults, and how much of each kind was looked at."""

    plugin: Plugin
    faults: list[Fault] = field(default_factory=list)
    looked_at: dict[str, int] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The diagnosis as `zoo plugins doctor --json` has it."""
        return {
            "name": self.plugin.name,
            "distribution": self.plugin.distribution,
            "version": self.plugin.version,
            "state": self.plugin.state,
            "faults": [{"reason": fault.reason, "mend": fault.mend} for fault in self.faults],
            "remarks": self.plugin.remarks,
            "looked_at": self.looked_at,
        }

    def lines(self) -> list[str]:
        """The diagnosis as a person reads it: a line for the plugin, one for each fault and remark."""
        seen = ", ".join(f"{kind} {count:,}" for kind, count in self.looked_at.items())
        count = len(self.faults)
        state = "disabled" if self.plugin.state == "disabled" else f"{count} faults" if count else "sound"
        told = [f"fault: {fault.reason} -> {fault.mend}" for fault in self.faults]
        told += [f"remark: {remark}" for remark in self.plugin.remarks]
        head = f"{self.plugin.name} ({self.plugin.origin}): {state}{f'; {seen}' if seen else ''}"
        return [head, *(f"  {line}" for line in told)]


def diagnose(registry: Registry, plugin: Plugin) -> Diagnosis:
    """Looks at all that the plugin brings; where it is set aside, only at what that is for."""
    found = Diagnosis(plugin)
    if plugin.state == "disabled":
        return found
    registry.call_hooks()
    if not plugin.active:
        found.faults.append(Fault(plugin.reason, plugin.mend))
    checks = (_requirements, _named_tasks, _tasks, _datasets, _builders, _recipes, _weights)
    for check in checks if plugin.active else checks[:1]:
        for kind, fault in check(registry, plugin):
            found.looked_at[kind] = found.looked_at.get(kind, 0) + 1
            if fault:
                found.faults.append(fault)
    return found


Finding = tuple[str, Fault | None]


def _requirements(registry: Registry, plugin: Plugin) -> Iterator[Finding]:
    from packaging.requirements import InvalidRequirement, Requirement

    for text in plugin.package_requirements:
        try:
            wanted = Requirement(text)
        except InvalidRequirement as error:
            yield "requirements", Fault(f"requirement {text!r}: {error}", _upgrade(plugin))
            continue
        if wanted.marker is None or wanted.marker.evaluate({"extra": ""}):
            yield "requirements", _unmet(wanted)


def _unmet(wanted: Any) -> Fault | None:
    mend = f"pip install '{wanted.name}{wanted.specifier}'"
    try:
        version = metadata.version(wanted.name)
    except metadata.PackageNotFoundError:
        return Fault(f"needs {wanted.name}{wanted.specifier}, which is not installed", mend)
    if wanted.specifier.contains(version, prereleases=True):
        return None
    return Fault(f"needs {wanted.name}{wanted.specifier}, installed is {version}", mend)


def _named_tasks(registry: Registry, plugin: Plugin) -> Iterator[Finding]:
    for model in _models_of(registry, plugin):
        faults = registry.task_faults(model)
        yield from (("models", Fault(fault, _upgrade(plugin))) for fault in faults)
        if not faults:
            yield "models", None


def _tasks(registry: Registry, plugin: Plugin) -> Iterator[Finding]:
    for spec in registry.tasks_of(plugin):
        yield "tasks", _try(plugin, registry.task_implementation, spec.name)


def _datasets(registry: Registry, plugin: Plugin) -> Iterator[Finding]:
    for spec in registry.datasets_of(plugin):
        yield "data sets", _try(plugin, registry.dataset_loader, spec.name)


def _builders(registry: Registry, plugin: Plugin) -> Iterator[Finding]:
    """Builders are resolved; models with a reference problem are built without memory."""
    models = _models_of(registry, plugin)
    seen: set[str] = set()
    for model in models:
        if len(models) <= EVERY or model.spec.builder not in seen:
            seen.add(model.spec.builder)
            yield "models built", _try(plugin, _build, registry, model)


def _build(registry: Registry, model: Model) -> None:
    import torch

    from zoo.build import build

    if model.spec.reference is None:
        registry.resolve(model.plugin, model.spec.builder)
        return
    with torch.device("meta"):
        build(registry, model, model.spec.reference, {})


def _recipes(registry: Registry, plugin: Plugin) -> Iterator[Finding]:
    seen: set[str] = set()
    for model in _models_of(registry, plugin):
        for task, file in model.spec.recipes.items():
            if file not in seen:
                seen.add(file)
                yield "recipes", _try(plugin, plugin_recipe, model, task)


def _weights(registry: Registry, plugin: Plugin) -> Iterator[Finding]:
    for spec in registry.weights_of(plugin):
        home = registry.plugins.get(spec.model.partition("/")[0])
        if spec.model not in registry.models and home is not None and home.active:
            close = closest(spec.model, registry.models)
            hint = f"; did you mean {close[0]}?" if close else ""
            yield "weights", Fault(f"weights {spec.name}: no such model{hint}", _upgrade(plugin))
        elif all(source.startswith(HERE) for source in spec.sources):
            yield "weights", _try(plugin, _check_weights, spec)


def _check_weights(spec: WeightsSpec) -> None:
    from zoo.weights import fetch_weights
    from zoo.weights.shards import read_headers

    read_headers(fetch_weights(spec))


def _try(plugin: Plugin, check: Callable[..., object], *arguments: Any) -> Fault | None:
    try:
        check(*arguments)
    except PluginError as error:
        return Fault(error.reason, _upgrade(plugin))
    except WeightsError as error:
        return Fault(str(error), f"install {plugin.distribution or plugin.name} again, or upgrade it")
    except ZooError as error:
        return Fault(str(error), _upgrade(plugin))
    return None


def _models_of(registry: Registry, plugin: Plugin) -> list[Model]:
    return [model for model in registry.models.values() if model.plugin is plugin]


def _upgrade(plugin: Plugin) -> str:
    return f"upgrade or fix {plugin.origin}"
