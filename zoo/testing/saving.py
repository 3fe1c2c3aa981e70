"""Checks of what a model's weights survive, and of weights that are there."""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
from torch import nn

import zoo
from zoo.build import build_with_weights
from zoo.errors import PluginError, WeightsError
from zoo.golden import check_golden
from zoo.registry import Registry
from zoo.runs import Receipt
from zoo.specs import Classes, Problem, Recipe, to_builtins
from zoo.testing.check import ConformanceError, NotCheckedError
from zoo.testing.subject import Subject, difference
from zoo.training.checkpoints import save_weights
from zoo.weights.sources import check_file, find_local


def check_round_trip(subject: Subject) -> None:
    """Weights that are saved and loaded by `zoo.load` are the same, ties and all, and answer the same."""
    for small in subject.small():
        recipe = Recipe()
        prepared = subject.prepared(subject.dataset(small, recipe), recipe)
        problem = prepared.problem
        module = subject.stirred(problem)
        receipt = Receipt(
            model=subject.model.name, problem=problem, preprocess=prepared.preprocess, recipe=recipe
        )
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "model.safetensors")
            save_weights(path, module, to_builtins(receipt))
            try:
                loaded = zoo.load(subject.model.name, weights=str(path), problem=problem)
            except (WeightsError, PluginError) as error:
                raise ConformanceError(
                    f"{subject.at(problem)}: weights just saved cannot be loaded: {error}"
                ) from None
            _check_same(subject, problem, module, loaded)


def _check_same(subject: Subject, problem: Problem, module: nn.Module, loaded: nn.Module) -> None:
    ties, kept = _ties(module), _ties(loaded)
    if ties != kept:
        names = next(iter(ties ^ kept))
        raise ConformanceError(
            f"{subject.at(problem)}: {' and '.join(names)} are one tensor "
            f"{'before saving' if names in ties else 'after loading'} only; tie parameters in the constructor"
        )
    state, found = module.state_dict(), loaded.state_dict()
    changed = [name for name in state if difference(state[name], found[name]) > 0]
    if changed:
        raise ConformanceError(f"{subject.at(problem)}: {changed[0]} comes back with other values")
    inputs = subject.inputs(problem, 2)
    with torch.no_grad():
        before, after = (subject.run(part, problem, inputs) for part in (module, loaded))
    if (apart := difference(before, after)) > 0:
        raise ConformanceError(
            f"{subject.at(problem)}: the answer differs by {apart:.1%} after weights were saved and loaded; "
            "register what the forward uses as parameters or buffers"
        )


def _ties(module: nn.Module) -> set[tuple[str, ...]]:
    """The names of each parameter that has several."""
    names: dict[int, list[str]] = {}
    for name, parameter in module.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(name)
    return {tuple(same) for same in names.values() if len(same) > 1}


def check_head(subject: Subject) -> None:
    """Weights for other classes are loaded into all but the head that the spec declares."""
    for problem in subject.small():
        if not isinstance(problem.output, Classes):
            continue
        other = problem.replace(output=Classes(count=problem.output.count + 2))
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "model.safetensors")
            save_weights(path, subject.build(problem), {})
            try:
                _, report = build_with_weights(
                    subject.registry, subject.model, other, {}, path=path, source="weights", trained=problem
                )
            except WeightsError as error:
                raise ConformanceError(
                    f"{subject.at(other)}: {error} when those for {problem.output.count} classes are loaded; "
                    f"name in `head` what depends on the classes (it has {list(subject.model.spec.head)})"
                ) from None
        declared = set(subject.model.spec.head)
        unused = [name for name in declared if not any(_is_in(new, name) for new in report.new)]
        if report.new and unused:
            raise ConformanceError(
                f"{subject.model.name} names {sorted(unused)[0]!r} in `head`, which does not depend on the "
                "classes; remove it"
            )


def _is_in(tensor: str, prefix: str) -> bool:
    return tensor == prefix or tensor.startswith(f"{prefix}.")


def check_weights(registry: Registry, name: str) -> None:
    """A file that is here is the recorded one, fills the whole model, and gives the golden output."""
    spec = next(spec for spec in registry.weights if spec.name == name)
    if spec.model not in registry.models:
        raise NotCheckedError(f"{spec.model} is not installed")
    path = find_local(spec)
    if path is None:
        raise NotCheckedError(f"is not on this machine: {spec.sources[0]}")
    model = registry.models[spec.model]
    problem = spec.problem or model.spec.reference
    if problem is None:
        raise ConformanceError(f"{name} states no problem, and neither does its model; record it")
    try:
        check_file(path, spec)
        module, report = build_with_weights(
            registry,
            model,
            problem,
            spec.receipt.get("options", {}),
            path=path,
            source=name,
            trained=spec.problem,
        )
        if spec.golden and spec.preprocess:
            task = registry.task_implementation(problem.task)
            check_golden(module, task, problem, spec.preprocess, spec.golden, name)
    except WeightsError as error:
        raise ConformanceError(f"{error}; publish the file and its record anew") from None
    surprises = [*report.new]
    if not model.spec.layout:  # which may turn tensors, and leave out what other heads have
        surprises += [*report.unused, *report.adapted]
    if surprises:
        raise ConformanceError(f"{name} does not fill its model as it is: {report}")
    if not spec.golden:
        raise NotCheckedError("its file fills the model; no golden output is recorded to be compared")
