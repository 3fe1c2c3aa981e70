"""Checks of what a builder builds."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from zoo.build import trace_at
from zoo.errors import SpecError, ZooError
from zoo.recommender.sizes import sized_facts, sized_problems
from zoo.specs import Facts, Problem, SizedFacts, to_builtins
from zoo.testing.check import ConformanceError, NotCheckedError
from zoo.testing.subject import Subject, difference


def check_meta(subject: Subject) -> None:
    """It is built without memory, and runs so, at all sizes that it takes: nothing depends on values."""
    for sizes in subject.sizes():
        for problem in sizes:
            with torch.device("meta"):
                module = _built(subject, problem).eval()
                output = subject.run(module, problem, subject.inputs(problem, 2))
            real = [name for name, tensor in module.state_dict().items() if not tensor.is_meta]
            if real or not output.is_meta:
                told = _some(real) or "the output"
                raise ConformanceError(
                    f"{subject.at(problem)}: {told} has memory although it is built on the meta device; "
                    "make tensors on the default device"
                )


def check_build(subject: Subject) -> None:
    """It is built on the CPU at all sizes that it takes, with numbers everywhere, all where a file can go."""
    subject.small()
    for sizes in subject.sizes():
        for problem in sizes:
            module = _built(subject, problem)
            tensors = dict(module.state_dict())
            empty = [name for name, tensor in tensors.items() if tensor.is_meta]
            bad = [name for name, tensor in tensors.items() if not tensor.isfinite().all()]
            if empty or bad:
                what = f"{_some(empty)} has no memory" if empty else f"{_some(bad)} holds no finite numbers"
                raise ConformanceError(f"{subject.at(problem)}: {what}; initialise it")
            stray = [name for name, tensor in module.named_parameters() if tensor.dtype != torch.float32]
            if stray:
                kinds = tensors[stray[0]].dtype
                raise ConformanceError(
                    f"{subject.at(problem)}: {_some(stray)} is of {kinds}; build in float32, the default"
                )


def check_seed(subject: Subject) -> None:
    """The same seed gives the same module, another seed another one."""
    for problem in subject.small():
        first, again, other = (_state(subject.build(problem, seed=seed)) for seed in (0, 0, 1))
        changed = [name for name in first if difference(first[name], again[name]) > 0]
        if changed:
            raise ConformanceError(
                f"{subject.at(problem)}: {_some(changed)} differs although torch.manual_seed was the same; "
                "draw from torch's generator alone"
            )
        if first and all(difference(first[name], other[name]) == 0 for name in first):
            raise ConformanceError(
                f"{subject.at(problem)}: another seed gives the same {len(first)} tensors; "
                "let the builder set no seed, and initialise at random"
            )


def check_copy(subject: Subject) -> None:
    """`copy.deepcopy` gives a module of its own that answers alike."""
    for problem in subject.small():
        module = subject.stirred(problem)
        try:
            twin = copy.deepcopy(module)
        except Exception as error:
            raise ConformanceError(
                f"{subject.at(problem)}: copy.deepcopy fails ({type(error).__name__}: {error}); keep no "
                "generators, files or tensors with a history in the module"
            ) from error
        inputs = subject.inputs(problem, 2)
        with torch.no_grad():
            before = subject.run(module, problem, inputs)
            for parameter in twin.parameters():
                parameter.zero_()
            after = subject.run(module, problem, inputs)
        if difference(before, after) > 0:
            raise ConformanceError(
                f"{subject.at(problem)}: changing a copy changes the module; let modules hold no references "
                "to tensors of others"
            )


def check_facts(subject: Subject) -> None:
    """The facts in the manifest are those that are traced now, at the reference and at each size stated.

    Which sizes are worth stating is for `zoo profile` to find out, which takes longer; it is no fault to
    state none.
    """
    spec = subject.model.spec
    if spec.facts is None or spec.reference is None:
        lacking = "facts" if spec.facts is None else "reference problem"
        raise NotCheckedError(
            f"it states no {lacking}; trace them: zoo profile '{subject.model.name}' --write"
        )
    wrong = _wrong(spec.facts.replace(sizes=()), trace_at(subject.registry, subject.model, spec.reference))
    problems = sized_problems(spec)
    for stated in spec.facts.sizes:
        size = stated.size
        if size not in problems:
            wrong.append(f"facts at size {size:,}, where none are traced")
            continue
        try:
            traced = trace_at(subject.registry, subject.model, problems[size])
        except ZooError as error:
            wrong.append(f"facts at size {size:,}, which cannot be traced ({error})")
            continue
        wrong += [f"{fault} at size {size:,}" for fault in _wrong(stated, sized_facts(size, traced))]
    if wrong:
        raise ConformanceError(
            f"{subject.model.name} states {'; '.join(wrong)}; "
            f"trace them: zoo profile '{subject.model.name}' --write"
        )


def _built(subject: Subject, problem: Problem) -> nn.Module:
    """The module; a refusal of a problem that differs in classes or vocabulary alone is a fault."""
    try:
        return subject.build(problem)
    except SpecError as error:
        raise ConformanceError(
            f"{subject.at(problem)}: the builder refuses ({error}); it is to take any number of classes and "
            "any vocabulary"
        ) from None


def _state(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in module.named_parameters()}


def _wrong(stated: Facts | SizedFacts, traced: Facts | SizedFacts) -> list[str]:
    told, found = _flat(stated), _flat(traced)
    return [
        f"{name} {told.get(name, 0):,} where {found.get(name, 0):,} is traced"
        for name in sorted({*told, *found})
        if told.get(name) != found.get(name)
    ]


def _flat(facts: Facts | SizedFacts) -> dict[str, int]:
    found: dict[str, int] = {}
    for name, value in to_builtins(facts).items():
        found |= {f"{name}.{key}": count for key, count in value.items()} if isinstance(value, dict) else {}
        found |= {name: value} if isinstance(value, int) else {}
    return found


def _some(names: list[str]) -> str:
    """The first of some names, and how many there are besides."""
    if not names:
        return ""
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more tensors"
