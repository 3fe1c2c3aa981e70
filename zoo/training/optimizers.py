"""timm's optimizers and schedules, as a recipe names them."""

from __future__ import annotations

import math
from typing import Any

import timm.optim
import timm.scheduler
from torch import nn

from zoo.errors import SpecError, closest
from zoo.specs import Recipe


def check_optimizer(recipe: Recipe) -> None:
    """Raises `SpecError` for an optimizer that timm does not know."""
    known = [str(name) for name in timm.optim.list_optimizers()]
    if recipe.optimizer not in known:
        close = closest(recipe.optimizer, known)
        hint = f"did you mean {close[0]!r}?" if close else f"timm knows {len(known)}: adamw, sgd, muon, ..."
        raise SpecError("recipe", [f"optimizer = {recipe.optimizer!r}: no such optimizer; {hint}"])


def make_optimizer(model: nn.Module, recipe: Recipe) -> Any:
    """The recipe's optimizer over the model's parameters; norms and biases are not decayed."""
    options: dict[str, Any] = {"betas": recipe.betas} if recipe.betas else {}
    if recipe.layer_decay:
        options["layer_decay"] = recipe.layer_decay
    return timm.optim.create_optimizer_v2(
        model,
        opt=recipe.optimizer,
        lr=recipe.scaled_lr,
        weight_decay=recipe.weight_decay,
        momentum=recipe.momentum,
        **options,
    )


def make_scheduler(optimizer: Any, recipe: Recipe, *, steps: int, epoch_steps: int) -> Any:
    """The recipe's schedule, counted in steps."""
    warmup = min(steps - 1, round(recipe.warmup_epochs * epoch_steps))
    decaying = steps - warmup  # timm counts a schedule from the end of its warm-up
    kind = {"linear": "poly", "constant": "step"}.get(recipe.schedule, recipe.schedule)
    scheduler, _ = timm.scheduler.create_scheduler_v2(
        optimizer,
        sched=kind,
        num_epochs=decaying,
        decay_epochs=max(1, math.ceil(decaying / 3)),
        decay_rate={"constant": 1.0, "linear": 1.0}.get(recipe.schedule, 0.1),
        min_lr=recipe.min_lr,
        warmup_lr=recipe.scaled_lr / max(1, warmup),
        warmup_epochs=warmup,
        warmup_prefix=warmup > 0,
        step_on_epochs=False,
        updates_per_epoch=1,
    )
    return scheduler
