"""Averages of a model's weights over its training: what is judged and kept in the place of the last ones."""

from __future__ import annotations

from timm.utils import ModelEmaV3
from torch import nn

from zoo.specs import Recipe

NEVER = 1 << 62  # steps


def make_average(module: nn.Module, recipe: Recipe) -> ModelEmaV3 | None:
    """The average that the recipe asks for, over a copy of the module; None where it asks for none.

    That of `ema_decay` begins with the training. That of `average_after` is the last weights until
    `begin_mean`, and from there on the mean of all weights since (Polyak & Juditsky 1992).
    """
    if recipe.average_after:
        return ModelEmaV3(
            module, decay=1.0, use_warmup=True, warmup_gamma=1.0, warmup_power=1.0, update_after_step=NEVER
        )
    return ModelEmaV3(module, decay=recipe.ema_decay) if recipe.ema_decay else None


def begin_mean(average: ModelEmaV3, step: int) -> None:
    """The weights after `step` steps are the last that are not in the mean."""
    average.update_after_step = step - 1  # timm copies the weights once more, and averages with the next
