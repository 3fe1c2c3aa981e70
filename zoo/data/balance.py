"""Classes of unequal size: when to warn, and weights that make up for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from zoo.data.dataset import Dataset
from zoo.errors import DataError
from zoo.specs import Recipe

UNEVEN = 3.0  # times the samples of an even share: what makes a class rare or dominant


def warn_of_balance(counts: Mapping[str, int]) -> list[str]:
    """One line that names the classes whose size is far from the others', or none."""
    sizes = np.array(list(counts.values()))
    if len(sizes) < 2 or sizes.max() < UNEVEN * max(1, sizes.min()):
        return []
    ordered = sorted(counts.items(), key=lambda pair: pair[1])
    median = float(np.median(sizes))
    rare = [pair for pair in ordered if pair[1] * 2 <= median] or ordered[:1]
    shown = ", ".join(f"{name!r} {size:,}" for name, size in rare[:5])
    more = f" and {len(rare) - 5:,} more" if len(rare) > 5 else ""
    name, size = ordered[-1]
    return [
        f"unbalanced classes: {shown}{more} training samples beside {name!r} {size:,}; judge by macro_f1 "
        "too, and try: -o class_weights=balanced, or -o balanced=true"
    ]


def balanced_weights(counts: Sequence[int]) -> tuple[float, ...]:
    """For each class `samples / (classes * its samples)`, so that all weigh the same (King & Zeng 2001).

    A class without samples weighs 1: it is never met.
    """
    present = sum(count > 0 for count in counts)
    return tuple(round(sum(counts) / (present * count), 6) if count else 1.0 for count in counts)


def settle_balance(recipe: Recipe, dataset: Dataset) -> Recipe:
    """The recipe with its class weights as numbers; raises `DataError` where they fit no classes."""
    if recipe.class_weights == "none" and not recipe.balanced:
        return recipe
    counts = dataset.class_counts("train")
    if not counts:
        raise DataError(
            f"data {dataset.name!r} has no classes to balance; leave out the recipe's class_weights "
            "and balanced"
        )
    if recipe.class_weights == "balanced":
        return recipe.replace(class_weights=balanced_weights(list(counts.values())))
    if recipe.class_weights != "none" and len(recipe.class_weights) != len(counts):
        raise DataError(
            f"the recipe has {len(recipe.class_weights)} class_weights; data {dataset.name!r} has "
            f"{len(counts)} classes"
        )
    return recipe
