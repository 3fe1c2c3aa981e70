"""What models are compared by: sorted by a column, or only those that no other beats in several.

`name`; `parameters` and `macs`, of which fewer are better; `top1`, the share of ImageNet-1k's validation
images that a model's best weights are published to get right.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from zoo.errors import UnknownNameError
from zoo.registry import Model
from zoo.specs import ImageInput, WeightsSpec

NAME, PARAMETERS, MACS, TOP1 = COLUMNS = ("name", "parameters", "macs", "top1")
SHORT = {"params": PARAMETERS}
IMAGENET = "imagenet-1k"
Figures = tuple[float, ...]  # one for each column; less is better


def column(name: str) -> str:
    """The column of that name, or of that short name; raises `UnknownNameError`."""
    found = SHORT.get(name, name)
    if found not in COLUMNS:
        raise UnknownNameError(f"no column named {name!r}; known: {', '.join(COLUMNS)}")
    return found


def top1(model: Model) -> float | None:
    """The best top-1 of ImageNet-1k that is published for weights of the model."""
    return max((share for weights in model.weights if (share := _top1(weights)) is not None), default=None)


def select(models: Sequence[Model], sort: str | None = None, pareto: Sequence[str] = ()) -> list[Model]:
    """Those of the models that are `unbeaten` in the columns of `pareto`, if any, by the column `sort`.

    By default the first of the columns, or the name. Raises `UnknownNameError` for no such column.
    """
    chosen = unbeaten(models, pareto) if pareto else models
    return sort_models(chosen, sort or next(iter(pareto), NAME))


def sort_models(models: Iterable[Model], by: str) -> list[Model]:
    """By a column, the best first and the unknown last; what is equal there, by name."""
    known = column(by)
    if known == NAME:
        return sorted(models, key=lambda model: model.name)

    def place(model: Model) -> tuple[bool, float, str]:
        value = _figure(model, None, known)
        return value is None, value or 0.0, model.name

    return sorted(models, key=place)


def unbeaten(models: Iterable[Model], columns: Sequence[str]) -> list[Model]:
    """The models that no other equals in all of the columns and betters in one: the Pareto front.

    Where `top1` is among them, each set of weights takes part by itself, with the MACs at its own size of
    image, and a model keeps those that are unbeaten. What is not known in one of the columns takes no part.
    """
    wanted = [column(name) for name in columns]
    if NAME in wanted:
        raise UnknownNameError(f"no model beats another in {NAME!r}; compare by {', '.join(COLUMNS[1:])}")
    entrants = sorted(_entrants(models, wanted), key=lambda entrant: entrant[0])
    front: list[tuple[Figures, Model, WeightsSpec | None]] = []
    for entrant in entrants:  # what beats one stands before it, and so does what beats that
        if not any(_beats(other[0], entrant[0]) for other in front):
            front.append(entrant)
    kept: dict[str, tuple[Model, list[WeightsSpec]]] = {}
    for _, model, weights in front:
        kept.setdefault(model.name, (model, []))[1].extend([weights] if weights else model.weights)
    return [replace(model, weights=tuple(weights)) for model, weights in kept.values()]


def takes_part(model: Model, columns: Sequence[str]) -> bool:
    """Whether all of the columns are known of the model."""
    return all(_figure(model, None, column(name)) is not None for name in columns)


def _entrants(
    models: Iterable[Model], columns: Sequence[str]
) -> Iterator[tuple[Figures, Model, WeightsSpec | None]]:
    for model in models:
        sets: Sequence[WeightsSpec | None] = model.weights if TOP1 in columns else (None,)
        for weights in sets:
            figures = [_figure(model, weights, name) for name in columns]
            known = tuple(value for value in figures if value is not None)
            if len(known) == len(figures):
                yield known, model, weights


def _beats(one: Figures, other: Figures) -> bool:
    return one != other and all(mine <= theirs for mine, theirs in zip(one, other, strict=True))


def _figure(model: Model, weights: WeightsSpec | None, name: str) -> float | None:
    """What the model has in a column, less being better: with those weights, or with its best."""
    if name == TOP1:
        share = _top1(weights) if weights else top1(model)
        return None if share is None else -share
    facts = model.spec.facts
    if facts is None:
        return None
    return facts.parameters if name == PARAMETERS else macs(model, weights)


def macs(model: Model, weights: WeightsSpec | None = None) -> float | None:
    """Multiply-accumulates a sample at the model's reference, or at the size of image weights are for."""
    facts = model.spec.facts
    return facts.macs * _scale(model, weights) if facts else None


def _top1(weights: WeightsSpec) -> float | None:
    return weights.metrics.get("top1") if weights.dataset.lower() == IMAGENET else None


def _scale(model: Model, weights: WeightsSpec | None) -> float:
    """How many times the pixels of its reference a model sees with those weights: MACs grow with them."""
    trained, reference = weights.problem if weights else None, model.spec.reference
    if not trained or not reference:
        return 1.0
    seen, known = trained.input, reference.input
    if not isinstance(seen, ImageInput) or not isinstance(known, ImageInput):
        return 1.0
    return (seen.height * seen.width) / (known.height * known.width)
