"""A recipe as its author writes it: settings, and variants of them for some trainings.

A variant is a `[[variant]]` table at the end of the file. `min_samples`, `max_samples` (both included) and
`finetune` say for which trainings it is; what else it says takes the place of the settings above it. Where
several are for the same training, the last one rules.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import product
from typing import Any

from zoo.errors import SpecError, hint
from zoo.specs import Count, Recipe, Record, convert, field_faults

VARIANT = "variant"
CONDITIONS = ("min_samples", "max_samples", "finetune")


class Variant(Record, frozen=True, kw_only=True):
    """Settings for trainings on so many samples, or for those that start from weights, or do not."""

    min_samples: Count | None = None
    max_samples: Count | None = None
    finetune: bool | None = None
    settings: dict[str, Any] = {}

    def applies(self, samples: int | None, finetune: bool) -> bool:
        """Whether it is for such a training; what is said of samples never holds for an unknown number."""
        if self.finetune not in (None, finetune):
            return False
        if samples is None:
            return self.min_samples is None and self.max_samples is None
        return (self.min_samples or 0) <= samples <= (self.max_samples or samples)

    @property
    def conditions(self) -> dict[str, Any]:
        """For which trainings it is, as far as it says."""
        told = {name: getattr(self, name) for name in CONDITIONS}
        return {name: value for name, value in told.items() if value is not None}


class RecipeFile(Record, frozen=True, kw_only=True):
    """The settings in which a recipe differs from the defaults, and its variants; made by `parse_recipe`."""

    settings: dict[str, Any] = {}
    variants: tuple[Variant, ...] = ()

    def applying(self, samples: int | None = None, finetune: bool = False) -> list[int]:
        """Which variants are for a training on so many samples, counted from 1."""
        found = enumerate(self.variants, start=1)
        return [number for number, variant in found if variant.applies(samples, finetune)]

    def resolved(self, samples: int | None = None, finetune: bool = False) -> dict[str, Any]:
        """What differs from the defaults in a training on so many samples; None: how many is not known."""
        settings = self.settings
        for number in self.applying(samples, finetune):
            settings = layered(settings, self.variants[number - 1].settings)
        return settings

    def combinations(self) -> dict[str, dict[str, Any]]:
        """Everything that the file can come to, by which variants apply together: `variant 1 with 2: `."""
        sizes = {1, *(variant.min_samples or 1 for variant in self.variants)}
        sizes |= {variant.max_samples + 1 for variant in self.variants if variant.max_samples}
        found: dict[str, dict[str, Any]] = {}
        for samples, finetune in product((None, *sorted(sizes)), (False, True)):
            numbers = " with ".join(map(str, self.applying(samples, finetune)))
            found.setdefault(f"{VARIANT} {numbers}: " if numbers else "", self.resolved(samples, finetune))
        return found

    def faults(self, check: Callable[[dict[str, Any]], Iterable[str]]) -> list[str]:
        """What `check` finds in anything that the file can come to, once, with the variants that bring it."""
        told: dict[str, str] = {}
        for place, settings in self.combinations().items():
            for fault in check(settings):
                told.setdefault(fault, place)
        return [f"{place}{fault}" for fault, place in told.items()]


def parse_recipe(document: Any, where: str) -> RecipeFile:
    """The recipe that a document holds; raises `SpecError` with every fault of it and of its variants."""
    if not isinstance(document, Mapping):
        raise SpecError(where, [f"expected settings, not a {type(document).__name__}"])
    settings = {key: value for key, value in document.items() if key != VARIANT}
    rows = document.get(VARIANT, [])
    faults = setting_faults(settings, also=(VARIANT,))
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        faults.append(f"{VARIANT}: expected tables; begin each with a line [[{VARIANT}]]")
        rows = []
    for number, row in enumerate(rows, start=1):
        faults += [f"{VARIANT} {number}: {fault}" for fault in _variant_faults(row)]
    if not faults:
        found = RecipeFile(settings=settings, variants=tuple(map(_variant, rows)))
        faults = found.faults(_clashes)
    if faults:
        raise SpecError(where, faults)
    return found


def setting_faults(settings: Mapping[str, Any], also: tuple[str, ...] = ()) -> list[str]:
    """Every fault of single settings of a recipe; `also` are keys that belong beside them."""
    known = (*Recipe.__struct_fields__, *also)
    strange = [str(key) for key in settings if key not in Recipe.__struct_fields__]
    faults = [_unknown(key, known) for key in strange]
    faults += field_faults({key: value for key, value in settings.items() if key not in strange}, Recipe)
    faults += [f"{key} = {value}: not a finite number" for key, value in settings.items() if _endless(value)]
    return faults


def layered(settings: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The settings with changes; steps rule over epochs, so they go where it is epochs that are asked for."""
    gone = {"steps"} if "epochs" in changes else set()
    return {key: value for key, value in settings.items() if key not in gone} | dict(changes)


def _variant(row: Mapping[str, Any]) -> Variant:
    conditions = {key: row[key] for key in CONDITIONS if key in row}
    return Variant(**conditions, settings={key: row[key] for key in row if key not in CONDITIONS})


def _variant_faults(row: Mapping[str, Any]) -> Iterator[str]:
    conditions = {key: row[key] for key in CONDITIONS if key in row}
    settings = {key: row[key] for key in row if key not in CONDITIONS}
    wrong = field_faults(conditions, Variant)
    yield from wrong
    yield from setting_faults(settings, also=CONDITIONS)
    if not conditions and settings.keys() <= {*Recipe.__struct_fields__}:  # else one of them was meant
        yield f"for which trainings it is, is not said; give one of {', '.join(CONDITIONS)}"
    elif not wrong and conditions.get("min_samples", 0) > conditions.get("max_samples", math.inf):
        least, most = conditions["min_samples"], conditions["max_samples"]
        yield f"min_samples = {least}: more than max_samples = {most}"
    if not settings:
        yield "changes no setting"


def _clashes(settings: dict[str, Any]) -> tuple[str, ...]:
    """What does not go together in settings that are sound one by one."""
    try:
        convert(settings, Recipe, where="")
    except SpecError as error:
        return error.faults
    return ()


def _unknown(key: str, known: tuple[str, ...]) -> str:
    if key in CONDITIONS:
        return f"{key}: belongs to a variant; put it below a line [[{VARIANT}]]"
    return f"unknown key {key!r}; {hint(key, known, 'see all with: zoo recipe show MODEL --full')}"


def _endless(value: Any) -> bool:
    values = value if isinstance(value, list | tuple) else [value]
    return any(isinstance(number, float) and math.isinf(number) for number in values)
