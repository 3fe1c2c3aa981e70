"""What a model promises its task, tried out before anything is trained."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from zoo.errors import PluginError, describe_error
from zoo.registry import Model
from zoo.specs import Classes, Problem, SeriesOutput, TokenOutput, Vector
from zoo.tasks.base import Prepared, Task


@torch.inference_mode()
def rehearse(module: nn.Module, task: Task, prepared: Prepared, model: Model) -> None:
    """One forward pass over two samples, so that a model that breaks its contract is found out at once.

    Raises `PluginError` where the forward fails, or gives another shape than the task asks for.
    """
    split = prepared.splits["validation"]
    batch = split.take(torch.arange(min(2, len(split))))
    inputs = task.inputs(batch)
    try:
        output = module.eval()(*inputs)
    except Exception as error:
        reason = f"the forward of {model.name} failed: {describe_error(error)}"
        raise PluginError(model.plugin.name, reason) from error
    expected = output_shape(prepared.problem, inputs)
    if not isinstance(output, Tensor) or tuple(output.shape) != expected:
        given = list(output.shape) if isinstance(output, Tensor) else type(output).__name__
        reason = f"the forward of {model.name} gives {given} where the task asks for {list(expected)}"
        raise PluginError(model.plugin.name, reason)


def output_shape(problem: Problem, inputs: tuple[Tensor, ...]) -> tuple[int, ...]:
    """The shape that the forward of a model for that problem has to give for those inputs."""
    count = len(inputs[0])
    match problem.output:
        case Classes(count=classes):
            return count, classes
        case SeriesOutput(length=length, channels=channels):
            return count, length, channels
        case TokenOutput(vocab_size=vocabulary):
            return *inputs[-1].shape, vocabulary
        case Vector(size=size):
            return count, size
