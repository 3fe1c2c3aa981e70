"""What torch itself allocates for one training step of a case in fp32, as a line of JSON.

It is what the facts of a model are about. The memory of a process has more: what oneDNN keeps for itself, and
the holes of the heap.
"""

from __future__ import annotations

import json
import sys
from itertools import accumulate
from typing import Any

import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from recommend_real.cases import CASES
from zoo.build import build
from zoo.profile import example_inputs
from zoo.recipes import resolve_recipe
from zoo.registry import installed
from zoo.training.optimizers import make_optimizer
from zoo.training.timing import made_up_loss

WARM = 2  # steps before, in which the optimizer makes its state


def main() -> None:
    """Prints what the step of the case that the command line names allocates."""
    case = next(case for case in CASES if case.name == sys.argv[1])
    registry, problem = installed(), case.problem
    model, _ = registry.model(case.model)
    recipe = resolve_recipe(model, case.task, samples=problem.samples, overrides=case.settings)
    module = build(registry, model, problem, recipe.options).train()
    optimizer = make_optimizer(module, recipe)

    def step() -> None:
        made_up_loss(module(*example_inputs(problem, case.batch)), problem).backward()
        optimizer.step()
        optimizer.zero_grad()

    for _ in range(WARM):
        step()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        step()
    print(json.dumps({"name": case.name, "bytes": _resident(module, optimizer) + _peak(profiled)}))


def _resident(module: nn.Module, optimizer: Any) -> int:
    """Bytes of weights, buffers and the optimizer's state."""
    states = [value for state in optimizer.state.values() for value in state.values()]
    tensors = [*module.parameters(), *module.buffers(), *filter(torch.is_tensor, states)]
    return sum(tensor.nbytes for tensor in tensors)


def _peak(profiled: Any) -> int:
    """The most that was allocated at once, and freed again, in a profile."""
    events = [event for event in profiled.profiler.kineto_results.events() if event.name() == "[memory]"]
    events.sort(key=lambda event: event.start_ns())
    return max(accumulate(event.nbytes() for event in events), default=0)


if __name__ == "__main__":
    main()
