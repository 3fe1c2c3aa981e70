"""The training loop: a generator of steps, so that its caller owns stopping, judging and saving."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from zoo.data.batches import batches
from zoo.data.splits import Split, balanced_rows, epoch_rows
from zoo.specs import Problem, Recipe
from zoo.tasks.base import Task


class Optimizer(Protocol):
    """What the loop needs of an optimizer."""

    param_groups: list[dict[str, float]]

    def step(self) -> None:
        """Applies the gradients."""
        ...

    def zero_grad(self) -> None:
        """Forgets the gradients."""
        ...


class Scheduler(Protocol):
    """Sets the learning rate from the number of steps done, and from nothing else (timm's do)."""

    def step_update(self, num_updates: int) -> None:
        """Sets the learning rate for the step after `num_updates` steps."""
        ...


class Average(Protocol):
    """A running average of a model's weights (timm's `ModelEmaV3`)."""

    def update(self, model: nn.Module, step: int) -> None:
        """Moves the average towards the model's weights."""
        ...


@dataclass(frozen=True)
class Step:
    """One optimizer step: its number counts from 1; `loss` is a scalar still on the device."""

    number: int
    epoch: int
    loss: Tensor
    samples: int
    lr: float


def train_steps(
    model: nn.Module,
    split: Split,
    task: Task,
    recipe: Recipe,
    *,
    problem: Problem,
    accelerator: Accelerator,
    optimizer: Optimizer,
    scheduler: Scheduler,
    average: Average | None = None,
    start: int = 0,
) -> Iterator[Step]:
    """Trains and yields after every optimizer step, from step `start + 1` to the recipe's last.

    The order of the samples and all randomness of a step follow from the recipe's seed and the
    step's number alone, so that a run that goes on from a checkpoint equals one never interrupted.
    """
    ready = batches(split, _rows(split, recipe, start), accelerator.device)
    for done, taken in enumerate(ready, start=start):
        count = len(next(iter(taken.values())))
        torch.manual_seed(recipe.seed * 1_000_003 + done)
        model.train()
        batch = task.augment(taken, recipe, problem)
        scheduler.step_update(done)
        loss = torch.zeros((), device=accelerator.device)
        parts = torch.arange(count, device=accelerator.device).chunk(recipe.accumulate)
        for number, part in enumerate(parts, start=1):
            whole = len(parts) == 1
            piece = batch if whole else {name: column[part] for name, column in batch.items()}
            waiting = accelerator.no_sync(model) if number < len(parts) else contextlib.nullcontext()
            with waiting:
                share = task.loss(model(*task.inputs(piece)), piece, recipe) * (len(part) / count)
                accelerator.backward(share)
            loss += share.detach()
        if recipe.grad_clip:
            accelerator.clip_grad_norm_(model.parameters(), recipe.grad_clip)
        optimizer.step()
        optimizer.zero_grad()
        if average is not None:
            average.update(accelerator.unwrap_model(model), done)
        epoch = done // recipe.steps_per_epoch(len(split))
        yield Step(done + 1, epoch, loss, count, optimizer.param_groups[0]["lr"])


def _rows(split: Split, recipe: Recipe, start: int) -> Iterator[Tensor]:
    """The rows of every step after `start` steps."""
    per_epoch = recipe.steps_per_epoch(len(split))
    order, order_epoch = torch.empty(0, dtype=torch.int64), -1
    for done in range(start, recipe.total_steps(len(split))):
        epoch, position = divmod(done, per_epoch)
        if epoch != order_epoch:
            order, order_epoch = _order(split, recipe, epoch), epoch
        yield order[position * recipe.batch_size : (position + 1) * recipe.batch_size]


def _order(split: Split, recipe: Recipe, epoch: int) -> Tensor:
    """The rows of an epoch: each once at random, or as many of each class where the recipe says so."""
    if recipe.balanced:
        return balanced_rows(split, seed=recipe.seed, epoch=epoch)
    return epoch_rows(len(split), seed=recipe.seed, epoch=epoch)
