"""What is settled before the first step: how large a batch fits, and whether compiling pays."""

from __future__ import annotations

import torch
from accelerate.utils.memory import clear_device_cache, should_reduce_batch_size
from torch import nn

from zoo.recommender import Load, detect
from zoo.recommender.cost import COMPILE_SECONDS, Plan, available_memory
from zoo.registry import Registry
from zoo.specs import Budget, Device, Recipe
from zoo.tasks.base import Prepared, Task
from zoo.training.engine import Engine

LARGEST = 8192
FEWEST_STEPS = 20  # in an epoch: a larger batch leaves a training too few
COMPILED_GAIN = 0.25  # of the time of a training on a GPU, by the published tables of timm and nanoGPT


def compile_pays(recipe: Recipe, load: Load | None, registry: Registry, engine: Engine) -> bool:
    """Whether to compile: as the recipe says, or where more time is foreseen to be saved than it takes.

    On a CPU, and for a model without facts, it is not done unasked.
    """
    if recipe.compile != "auto":
        return recipe.compile
    if engine.device.type != "cuda" or load is None:
        return False
    cost = Plan(recipe.replace(compile=False), detect(registry)).seconds(load)
    return cost is not None and COMPILED_GAIN * cost.value > COMPILE_SECONDS


def fitting_recipe(
    module: nn.Module,
    task: Task,
    prepared: Prepared,
    recipe: Recipe,
    registry: Registry,
    engine: Engine,
    load: Load | None,
) -> Recipe:
    """The recipe with the largest batch that fits: foreseen from the facts, proven by a real step.

    The learning rate follows it by the recipe's rule.
    """
    samples = len(prepared.splits["train"])
    size = engine.world * largest_batch(load, recipe, detect(registry), samples // engine.world)
    while size > engine.world and not _fits(module, task, prepared, recipe, engine, size // engine.world):
        size //= 2
    held = recipe.lr_batch_size or recipe.batch_size
    return recipe.replace(batch_size=size, lr_batch_size=held, accumulate=1)


def largest_batch(load: Load | None, recipe: Recipe, device: Device, samples: int) -> int:
    """The largest power of two that is foreseen to fit in 95 of 100 trainings, with enough steps an epoch.

    Without facts of the model it is the largest such with enough steps, up to the recipe's own batch.
    """
    available = available_memory(device, Budget())
    most = min(LARGEST if load else recipe.batch_size, max(1, samples // FEWEST_STEPS))
    size = 1
    while 2 * size <= most:
        plan = Plan(recipe.replace(batch_size=2 * size, accumulate=1), device)
        if load is not None and available is not None and plan.memory(load).upper > available:
            break
        size *= 2
    return size


def _fits(
    module: nn.Module, task: Task, prepared: Prepared, recipe: Recipe, engine: Engine, size: int
) -> bool:
    """Whether every process gets through the gradients of so many samples, beside the optimizer's state."""
    failed = False
    kept = {name: buffer.clone() for name, buffer in module.named_buffers()}
    try:
        module.to(engine.device).train()
        state = [torch.empty_like(parameter) for parameter in module.parameters() for _ in range(2)]
        split = prepared.splits["train"].to(engine.device)
        batch = split.take(torch.arange(size, device=engine.device) % len(split))
        batch = task.augment(batch, recipe, prepared.problem)
        with engine.accelerator.autocast():
            output = module(*task.inputs(batch))
        engine.accelerator.backward(task.loss(output, batch, recipe))
        del state, output, batch
    except RuntimeError as error:
        if not should_reduce_batch_size(error):
            raise
        failed = True
    module.zero_grad()
    clear_device_cache(garbage_collection=True)
    with torch.no_grad():
        for name, buffer in module.named_buffers():
            buffer.copy_(kept[name])
    return not engine.agree(failed)[0]
