"""Which models can be trained in so much memory, each at the problem that its facts hold at."""

from __future__ import annotations

from collections.abc import Iterable

from zoo.errors import PluginError
from zoo.recipes import recipe_path, resolve_recipe
from zoo.recommender.cost import Plan, available_memory
from zoo.recommender.devices import find_device
from zoo.recommender.facts import load_at, shape_seen
from zoo.recommender.filter import fit_batch
from zoo.registry import Model, Registry
from zoo.specs import Budget, Device, Problem
from zoo.units import parse_bytes


def place_for(registry: Registry, text: str) -> tuple[Device, float | None]:
    """The device and the memory that `8GB`, here, or a device's name, such as `rtx-3060`, stand for."""
    if text[:1].isdigit() and "x" not in text and not text.isdigit():
        return find_device(registry, "auto"), parse_bytes(text)
    device = find_device(registry, text)
    return device, available_memory(device.replace(free_bytes=None), Budget())


def fitting(
    models: Iterable[Model], device: Device, memory_bytes: float | None
) -> tuple[list[Model], list[Model]]:
    """Those whose training stays below in 95 of 100 cases, if need be in pieces; and those not known to.

    Each is asked about with its own recipe, at its reference and with no data held in memory.
    """
    plans: dict[tuple[str, str | None, str, bool], Plan | None] = {}
    fit, unknown = [], []
    for model in models:
        problem = model.spec.reference
        plan = None if problem is None else _plan(model, problem, device, plans)
        if problem is None or plan is None or memory_bytes is None:
            unknown.append(model)
            continue
        load = load_at(model.spec, problem, shape_seen(model.spec, problem, plan.recipe))
        if load is None:
            unknown.append(model)
        elif fit_batch(plan, load, memory_bytes)[1].upper <= memory_bytes:
            fit.append(model)
    return fit, unknown


def _plan(
    model: Model,
    problem: Problem,
    device: Device,
    plans: dict[tuple[str, str | None, str, bool], Plan | None],
) -> Plan | None:
    """That of the model's recipe, made once; None where the recipe is no good."""
    exact = problem.keeps_fp32
    key = model.plugin.name, recipe_path(model, problem.task), problem.task, exact
    if key not in plans:
        try:
            plans[key] = Plan(resolve_recipe(model, problem.task, samples=None), device, exact=exact)
        except PluginError:
            plans[key] = None
    return plans[key]
