"""The training loop: a generator of steps, so that its caller owns stopping, judging and saving."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from accelerate.utils.memory import clear_device_cache, should_reduce_batch_size
from torch import Tensor, nn

from zoo.data.batches import batches
from zoo.data.splits import Batch, Split, balanced_rows, epoch_rows
from zoo.errors import TrainingError
from zoo.specs import Problem, Recipe
from zoo.tasks.base import Task
from zoo.training.engine import Engine
from zoo.training.freezing import HeadFirst


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
    """An average of a model's weights (timm's `ModelEmaV3`)."""

    def update(self, model: nn.Module, step: int) -> None:
        """Moves the average towards the model's weights."""
        ...


@dataclass(frozen=True)
class Step:
    """One optimizer step: its number counts from 1; `loss` is a scalar still on the device.

    `samples` counts those of all processes; `waited` is for how many seconds the batch was not there yet.
    """

    number: int
    epoch: int
    loss: Tensor
    samples: int
    lr: float
    waited: float = 0.0


@dataclass
class Pieces:
    """In how many pieces a process computes its part of a batch; that changes the memory it takes alone.

    `halve` makes them half as large, when memory ran out.
    """

    count: int

    def halve(self, error: RuntimeError, samples: int, engine: Engine) -> None:
        """Raises `error` where it is another, and `TrainingError` where a piece cannot become smaller."""
        if not should_reduce_batch_size(error):
            raise error
        if engine.world > 1:  # the other processes wait for this one's gradients
            raise TrainingError(
                f"process {engine.rank} is out of memory; go on with smaller pieces: --resume, with "
                f"-o accumulate={2 * self.count}"
            ) from error
        if self.count >= samples:
            raise TrainingError(
                "out of memory with a single sample; take a smaller model or input, or "
                "-o activation_checkpointing=true"
            ) from error
        self.count = min(samples, 2 * self.count)
        clear_device_cache(garbage_collection=True)


def train_steps(
    model: nn.Module,
    split: Split,
    task: Task,
    recipe: Recipe,
    *,
    problem: Problem,
    engine: Engine,
    optimizer: Optimizer,
    scheduler: Scheduler,
    pieces: Pieces,
    head_first: HeadFirst,
    average: Average | None = None,
    start: int = 0,
) -> Iterator[Step]:
    """Trains and yields after every optimizer step, from step `start + 1` to the recipe's last.

    The order of the samples and all randomness of a step follow from the recipe's seed and the
    step's number alone, so that a run that goes on from a checkpoint equals one never interrupted.
    A step lowers the mean over the whole batch, in however many pieces and processes it is computed.
    """
    ready = _timed(batches(split, _rows(split, recipe, engine, start), engine.device))
    for done, (taken, waited) in enumerate(ready, start=start):
        count = len(next(iter(taken.values())))
        scheduler.step_update(done)
        seed = recipe.seed * 1_000_003 + done + (engine.rank << 40)
        engine.seed(seed)
        head_first.enter(done)
        batch = task.augment(taken, recipe, problem)
        while True:
            try:
                loss = _accumulate(model, batch, task, recipe, engine, pieces.count)
                break
            except RuntimeError as error:
                pieces.halve(error, count, engine)
                optimizer.zero_grad()
                engine.seed(seed)
        if recipe.grad_clip:
            engine.accelerator.clip_grad_norm_(model.parameters(), recipe.grad_clip)
        optimizer.step()
        optimizer.zero_grad()
        if average is not None:
            average.update(engine.accelerator.unwrap_model(model), done)
        epoch = done // recipe.steps_per_epoch(len(split))
        yield Step(done + 1, epoch, loss, count * engine.world, optimizer.param_groups[0]["lr"], waited)


def _accumulate(
    model: nn.Module, batch: Batch, task: Task, recipe: Recipe, engine: Engine, pieces: int
) -> Tensor:
    """Leaves the gradients of the mean loss over all processes' parts of the batch, and gives that loss."""
    count = len(next(iter(batch.values())))
    parts = torch.arange(count, device=engine.device).chunk(pieces)
    alone = len(parts) == engine.world == 1
    whole = None if alone else engine.total(task.weight(batch, recipe))
    loss = torch.zeros((), device=engine.device)
    for number, part in enumerate(parts, start=1):
        piece = batch if len(parts) == 1 else {name: column[part] for name, column in batch.items()}
        waiting = engine.accumulating(model) if number < len(parts) else contextlib.nullcontext()
        with waiting:
            with engine.accelerator.autocast():
                output = model(*task.inputs(piece))
            share = task.loss(output, piece, recipe)
            if whole is not None:
                share = share * (task.weight(piece, recipe) / whole)
            engine.accelerator.backward(share * engine.world)  # of which the processes' mean is taken
        loss += share.detach()
    return engine.total(loss)


def _timed(batches: Iterable[Batch]) -> Iterator[tuple[Batch, float]]:
    """Each batch with the seconds that it was waited for."""
    asked = time.perf_counter()
    for batch in batches:
        yield batch, time.perf_counter() - asked
        asked = time.perf_counter()


def _rows(split: Split, recipe: Recipe, engine: Engine, start: int) -> Iterator[Tensor]:
    """The process's rows of every step after `start` steps; no other process has any of them."""
    per_epoch = recipe.steps_per_epoch(len(split))
    order, order_epoch = torch.empty(0, dtype=torch.int64), -1
    for done in range(start, recipe.total_steps(len(split))):
        epoch, position = divmod(done, per_epoch)
        if epoch != order_epoch:
            order, order_epoch = _order(split, recipe, epoch), epoch
        batch = order[position * recipe.batch_size : (position + 1) * recipe.batch_size]
        yield batch[engine.rank :: engine.world]


def _order(split: Split, recipe: Recipe, epoch: int) -> Tensor:
    """The rows of an epoch: each once at random, or as many of each class where the recipe says so."""
    if recipe.balanced:
        return balanced_rows(split, seed=recipe.seed, epoch=epoch)
    return epoch_rows(len(split), seed=recipe.seed, epoch=epoch)
