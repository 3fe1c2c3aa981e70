"""timm's optimizers and schedules, as a recipe names them."""

from __future__ import annotations

import inspect
import math
from typing import Any

import timm.optim
import timm.scheduler
from torch import nn

from zoo.errors import SpecError, hint
from zoo.specs import Recipe


def check_optimizer(recipe: Recipe) -> None:
    """Raises `SpecError` for an optimizer that timm does not know."""
    if faults := optimizer_faults(recipe.optimizer):
        raise SpecError("recipe", faults)


def optimizer_faults(name: str) -> list[str]:
    """What is wrong with that name of an optimizer, as the fault of a recipe; nothing where timm knows it."""
    known = [str(known) for known in timm.optim.list_optimizers()]
    if name in known:
        return []
    meant = hint(name, known, f"timm knows {len(known)}: adamw, sgd, muon, ...")
    return [f"optimizer = {name!r}: no such optimizer; {meant}"]


def make_optimizer(model: nn.Module, recipe: Recipe) -> Any:
    """The recipe's optimizer over the model's parameters; norms and biases are not decayed."""
    options: dict[str, Any] = {"betas": recipe.betas} if recipe.betas else {}
    if recipe.layer_decay:
        options["layer_decay"] = recipe.layer_decay
    if "fused" in inspect.signature(_class_of(recipe.optimizer)).parameters:
        options["fused"] = True  # torch's own: one kernel for all parameters
    plain = recipe.optimizer == "sgd" and not recipe.momentum  # timm's `sgd` is Nesterov's, which has some
    return timm.optim.create_optimizer_v2(
        model,
        opt="momentum" if plain else recipe.optimizer,
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


def _class_of(name: str) -> Any:
    return timm.optim.get_optimizer_class(name.removeprefix("lookahead_"))
