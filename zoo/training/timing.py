"""The seconds of a training step: of a module here, and of installed models in a process of its own.

What torch does wrong in another's model must not end the process that asks: a backward pass that spoils
memory costs the timing of that model alone, see `Timer`.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import threading
import time
from itertools import pairwise
from typing import TYPE_CHECKING, BinaryIO, Literal, NamedTuple, Self

import msgspec
import torch
from torch import Tensor, nn

from zoo.build import build
from zoo.errors import ZooError
from zoo.profile import example_inputs
from zoo.registry import installed
from zoo.specs import Problem, Recipe, SeriesOutput
from zoo.training.engine import Engine
from zoo.training.optimizers import make_optimizer

if TYPE_CHECKING:
    from types import TracebackType

Clock = Literal["perf_counter", "process_time"]  # of the module `time`

WARM = 2  # first steps, which are slower
STEPS = 2, 40  # that are timed, at least and at most
SECONDS = 0.25  # after which a model has been timed for long enough
PATIENCE_SECONDS = 60.0  # with a model in the other process, its imports among them


class Request(NamedTuple):
    """What is asked of the other process: a line of JSON, which it answers with seconds or null."""

    model: str
    recipe: Recipe
    device: str
    clock: Clock


class Timer:
    """Times installed models in another process, which is started anew where a model ends or stalls it.

    A context manager: the process goes with it.
    """

    def __init__(self, *, device: str = "auto", clock: Clock = "perf_counter") -> None:
        self._device, self._clock = device, clock
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def seconds(self, model: str, recipe: Recipe) -> float | None:
        """The seconds of a step at the model's reference problem; None where that fails or stalls."""
        process = self._process = self._process or _started()
        assert process.stdin is not None  # both are pipes
        assert process.stdout is not None
        patience = threading.Timer(PATIENCE_SECONDS, process.kill)
        patience.start()
        try:
            process.stdin.write(
                msgspec.json.encode(Request(model, recipe, self._device, self._clock)) + b"\n"
            )
            process.stdin.flush()
            answer = process.stdout.readline()
        except BrokenPipeError:
            answer = b""
        finally:
            patience.cancel()
        if not answer.endswith(b"\n"):  # it has ended
            self._end()
            return None
        return msgspec.json.decode(answer, type=float | None)

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


def step_seconds(
    module: nn.Module, problem: Problem, recipe: Recipe, *, device: str, clock: Clock = "perf_counter"
) -> float:
    """The median of a training step on made-up samples, the first ones left out."""
    now = getattr(time, clock)
    engine = Engine(recipe, problem, device=device)
    if engine.prefers_channels_last:
        module = module.to(memory_format=torch.channels_last)
    module = engine.place(module).train()
    with torch.device(engine.device):
        inputs = example_inputs(problem, recipe.batch_size)
    optimizer = engine.accelerator.prepare_optimizer(make_optimizer(module, recipe))
    ends: list[float] = []
    while True:
        with engine.accelerator.autocast():
            output = module(*inputs)
        loss = made_up_loss(output.float(), problem)
        engine.accelerator.backward(loss)
        optimizer.step()
        optimizer.zero_grad()
        float(loss.detach())  # waits for the device
        ends.append(now())
        timed = len(ends) - WARM
        if timed >= STEPS[1] or (timed >= STEPS[0] and ends[-1] - ends[WARM - 1] > SECONDS):
            break
    return statistics.median(after - before for before, after in pairwise(ends[WARM - 1 :]))


def made_up_loss(output: Tensor, problem: Problem) -> Tensor:
    """A scalar as a task of such a problem has it, against answers that are all alike."""
    if isinstance(problem.output, SeriesOutput):
        return output.abs().mean()
    logits = output.reshape(-1, output.shape[-1])
    return nn.functional.cross_entropy(logits, logits.new_zeros(len(logits), dtype=torch.int64))


# -- the other process ------------------------------------------------------------------------


def _started() -> subprocess.Popen[bytes]:
    """With `python -m zoo.training.timing`; what libraries tell there, a crash among it, is not shown."""
    command = [sys.executable, "-P", "-m", __spec__.name]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


def _serve(requests: BinaryIO, answers: BinaryIO) -> None:
    for line in requests:
        asked = msgspec.json.decode(line, type=Request)
        answers.write(msgspec.json.encode(_time(asked)) + b"\n")
        answers.flush()


def _time(asked: Request) -> float | None:
    registry = installed()
    torch.manual_seed(0)
    try:
        model, _ = registry.model(asked.model)
        problem = model.spec.reference
        if problem is None:
            return None
        module = build(registry, model, problem, asked.recipe.options)
        return step_seconds(module, problem, asked.recipe, device=asked.device, clock=asked.clock)
    except (ZooError, RuntimeError, ValueError):  # as torch and models say what they do not take
        return None


if __name__ == "__main__":
    with os.fdopen(os.dup(sys.stdout.fileno()), "wb") as told:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what models print is no answer
        _serve(sys.stdin.buffer, told)
