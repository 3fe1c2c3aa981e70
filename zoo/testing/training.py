"""Checks of training by the shared trainer."""

from __future__ import annotations

import contextlib
import math
import tempfile
from pathlib import Path
from typing import Any

from zoo.data.dataset import Dataset
from zoo.recipes import resolve_recipe
from zoo.runs import Run
from zoo.specs import Problem, Recipe
from zoo.testing.check import ConformanceError
from zoo.testing.subject import Subject
from zoo.training import Callback, Step
from zoo.training.trainer import resume_run, train_model
from zoo.weights.headers import Header, read_header

SAMPLES, STEPS, STOP = 4, 3, 1  # a step; in all; before the interruption


def check_recipe(subject: Subject) -> None:
    """The recipe for each task is valid, and a step under it leads to finite metrics."""
    for problem in subject.small():
        recipe = resolve_recipe(subject.model, problem.task)
        dataset = subject.dataset(problem, recipe)
        with tempfile.TemporaryDirectory() as folder:
            run = _train(subject, dataset, Path(folder, "run"), steps=1)
        wrong = {name: value for name, value in run.metrics.items() if not math.isfinite(value)}
        if wrong or not run.metrics:
            told = ", ".join(f"{name} = {value}" for name, value in wrong.items()) or "no metric"
            raise ConformanceError(f"{subject.at(problem)}: a step under its recipe leads to {told}")


def check_resume(subject: Subject) -> None:
    """A training that was interrupted and went on ends with the tensors of one that was not."""
    for problem in subject.small():
        recipe = resolve_recipe(subject.model, problem.task)
        dataset = subject.dataset(problem, recipe)
        with tempfile.TemporaryDirectory() as folder:
            whole = _train(subject, dataset, Path(folder, "whole"), steps=STEPS)
            path = Path(folder, "parts")
            with contextlib.suppress(KeyboardInterrupt):
                _train(subject, dataset, path, StopAt(STOP), steps=STEPS)
            parts = resume_run(subject.registry, Run.open(path), dataset, device="cpu")
            _compare(subject, problem, whole, parts)


def _compare(subject: Subject, problem: Problem, whole: Run, parts: Run) -> None:
    """The best weights, then the last ones with all that the optimizer keeps."""
    for files in ("model.safetensors", "last/step-*.safetensors"):
        one, other = ([_content(path) for path in sorted(run.path.glob(files))] for run in (whole, parts))
        if one != other:
            raise ConformanceError(
                f"{subject.at(problem)}: {STEPS} steps end with other weights where the training was "
                f"interrupted after {STOP}; keep what changes from step to step in parameters and persistent "
                "buffers, and draw from torch's generator alone"
            )


def _content(path: Path) -> tuple[Header, bytes]:
    """What a safetensors file holds; safetensors itself writes the same metadata in one order or another."""
    content = path.read_bytes()
    return read_header(path), content[8 + int.from_bytes(content[:8], "little") :]


def _train(subject: Subject, dataset: Dataset, path: Path, *callbacks: Callback, steps: int) -> Run:
    """A training of a few steps under the model's own recipe, on the CPU."""
    return train_model(
        subject.registry,
        subject.model,
        dataset,
        _shortened(subject, dataset.problem.task, steps),
        output=path,
        options={},
        device="cpu",
        callbacks=callbacks,
    )


def _shortened(subject: Subject, task: str, steps: int) -> Recipe:
    recipe = resolve_recipe(subject.model, task)
    changes: dict[str, Any] = {
        "steps": steps,
        "batch_size": SAMPLES * recipe.accumulate,
        "compile": False,  # has a check of its own
        "patience": None,
    }
    return resolve_recipe(subject.model, task, overrides=changes)


class StopAt(Callback):
    """Interrupts a training after a step, as Ctrl-C does."""

    def __init__(self, number: int) -> None:
        self._number = number

    def step(self, step: Step) -> None:
        """Raises `KeyboardInterrupt` at the step."""
        if step.number == self._number:
            raise KeyboardInterrupt
