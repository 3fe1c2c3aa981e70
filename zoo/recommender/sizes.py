"""The sizes at which a model's costs are worth stating, because they do not follow from its reference."""

from __future__ import annotations

from collections.abc import Mapping

from zoo.recommender.facts import load_at, shape_of
from zoo.specs import Facts, ImageInput, ModelSpec, Problem, SizedFacts, TokenOutput

SIDES = 8, 512  # of images, in pixels
STEPS = 16, 1024  # of tokens or of a series
OFF = 0.15  # how far a cost carried over may be from the one traced


def sized_problems(spec: ModelSpec) -> dict[int, Problem]:
    """The model's reference at other sizes, by their pixels or steps, the smallest first.

    Sides of an image, or steps, are doubled and halved as long as they stay whole and within bounds. What
    is written follows what is read, but for a forecast, whose horizon is a question of its own. None where
    the model has no reference, or takes a single size.
    """
    if spec.reference is None or spec.image_size:
        return {}
    found = [*_scaled(spec.reference, 1, 2), *_scaled(spec.reference, 2, 1)]
    return dict(sorted((shape_of(problem).size, problem) for problem in found))


def worth_stating(spec: ModelSpec, facts: Facts, traced: Mapping[int, Facts]) -> Facts:
    """The facts at the reference with those at other sizes that do not follow from them.

    Of those `traced`, by pixels or steps, it takes the one that is furthest off until each that is left
    follows: multiply-accumulates, bytes kept and parameters are then within `OFF`, by `load_at` itself.
    """
    problems, chosen = sized_problems(spec), dict[int, SizedFacts]()
    while True:
        facts = facts.replace(sizes=tuple(chosen[size] for size in sorted(chosen)))
        stated = spec.replace(facts=facts)
        errors = {
            size: _error(stated, problems[size], at) for size, at in traced.items() if size not in chosen
        }
        size = max(errors, key=errors.__getitem__, default=0)
        if not size or errors[size] <= OFF:
            return facts
        chosen[size] = sized_facts(size, traced[size])


def sized_facts(size: int, facts: Facts) -> SizedFacts:
    """Facts that were traced at that many pixels or steps, as further ones of a model."""
    return SizedFacts(
        size=size,
        parameters=facts.parameters,
        macs=facts.macs,
        activation_bytes=facts.activation_bytes,
        largest_tensor_bytes=facts.largest_tensor_bytes,
    )


def _scaled(problem: Problem, up: int, down: int) -> list[Problem]:
    """The problem with sides or steps times `up / down`, times its square and so on, up to the bounds."""
    found: list[Problem] = []
    while (scaled := _resized(problem, up, down)) is not None:
        found.append(problem := scaled)
    return found


def _resized(problem: Problem, up: int, down: int) -> Problem | None:
    """The problem with sides or steps times `up / down`; None where they are not whole or out of bounds."""
    given, output = problem.input, problem.output
    image = isinstance(given, ImageInput)
    least, most = SIDES if image else STEPS
    read = {name: getattr(given, name) * up for name in (("height", "width") if image else ("length",))}
    written = {"length": output.length * up} if isinstance(output, TokenOutput) else {}
    if any(size % down for size in (*read.values(), *written.values())):
        return None
    if not all(least <= size // down <= most for size in read.values()):
        return None
    read, written = ({name: size // down for name, size in sizes.items()} for sizes in (read, written))
    return problem.replace(input=given.replace(**read), output=output.replace(**written))


def _error(spec: ModelSpec, problem: Problem, traced: Facts) -> float:
    """By what share the worst of the model's costs is off, carried over to a problem that was traced."""
    load = load_at(spec, problem, shape_of(problem))
    assert load is not None
    told = [
        (load.macs, traced.macs),
        (load.parameters, traced.parameters),
        *((load.activation_bytes(precision), kept) for precision, kept in traced.activation_bytes.items()),
    ]
    return max((abs(carried / true - 1) for carried, true in told if true), default=0.0)
