"""A model under test: the problems that it is tried at, and how it is built, fed and run for a check."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from zoo.build import build
from zoo.data.dataset import Dataset
from zoo.errors import DataError, SpecError, describe_error
from zoo.profile import count_parameters, example_inputs
from zoo.registry import Model, Registry
from zoo.specs import Problem, Recipe
from zoo.tasks.base import Prepared, Task, prepare
from zoo.testing.check import ConformanceError, NotCheckedError
from zoo.testing.problems import Sizes, describe, larger, smaller
from zoo.testing.samples import growing, tiny_dataset

LARGEST = 200_000_000  # parameters of a model that is built with memory
STIRRED = 0.02  # deviation of what is added to every parameter
BATCH = 4  # samples to learn by heart
TOLERANCE = 1e-4  # of a number that could have come out otherwise: far more than rounding


@dataclass(frozen=True)
class Subject:
    """One model of a registry."""

    registry: Registry
    model: Model

    # -- problems --

    @cached_property
    def _sizes(self) -> list[Sizes]:
        return [
            Sizes(reference, self._taken(smaller(reference)), self._taken(larger(reference)))
            for reference in map(self._reference, self.model.spec.tasks)
            if reference is not None
        ]

    def sizes(self) -> list[Sizes]:
        """For each task three problems: the reference, a smaller and a larger one that the builder takes."""
        if not self._sizes:
            tasks = " or ".join(self.model.spec.tasks)
            raise NotCheckedError(f"it states no reference problem, and no data set for {tasks} is installed")
        return self._sizes

    def small(self) -> list[Problem]:
        """The smaller problem of each task, for checks that compute."""
        found = [sizes.smaller for sizes in self.sizes()]
        count = self._parameters
        if count > LARGEST:
            raise NotCheckedError(
                f"has {count / 1e6:,.0f} million parameters; what computes stops at {LARGEST // 10**6}"
            )
        return found

    @cached_property
    def _parameters(self) -> int:
        """How many there are at the smaller problem; 0 where it cannot be built without memory."""
        try:
            with torch.device("meta"):
                return count_parameters(self.build(self.sizes()[0].smaller))
        except Exception:  # what is wrong with it, other checks tell
            return 0

    def _reference(self, task: str) -> Problem | None:
        """The model's own, or the problem of the smallest data set for that task."""
        own = self.model.spec.reference
        if own is not None and own.task == task:
            return own
        known = [spec.problem for spec in self.registry.datasets.values() if spec.problem.task == task]
        return min(known, key=lambda problem: problem.samples or 10**12, default=None)

    def _taken(self, candidates: list[Problem]) -> Problem:
        """The first that the builder does not refuse; the last where it refuses all, for checks to tell."""
        return next((problem for problem in candidates if not self._refused(problem)), candidates[-1])

    def _refused(self, problem: Problem) -> bool:
        try:
            with torch.device("meta"):
                self.build(problem)
        except SpecError:
            return True
        except Exception:  # not a refusal but a failure, which the check that builds it will tell
            return False
        return False

    # -- modules --

    def build(self, problem: Problem, *, seed: int = 0, **options: Any) -> nn.Module:
        """The model, newly initialised by that seed, on the default device."""
        torch.manual_seed(seed)
        return build(self.registry, self.model, problem, options)

    def stirred(self, problem: Problem) -> nn.Module:
        """The model in evaluation mode, with every parameter moved a little.

        What begins at zero would hide what comes before it; so would running statistics that do not fit.
        """
        module = self.build(problem)
        torch.manual_seed(1)
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.add_(torch.randn_like(parameter), alpha=STIRRED)
        norms = [
            part for part in module.modules() if isinstance(part, _NormBase) and part.track_running_stats
        ]
        if norms:
            self._settle(module, norms, problem)
        return module.eval()

    def _settle(self, module: nn.Module, norms: list[Any], problem: Problem) -> None:
        """Gives batch normalisation the statistics of one batch."""
        kept = [norm.momentum for norm in norms]
        for norm in norms:
            norm.momentum = 1.0
        with torch.no_grad():
            self.run(module.train(), problem, self.inputs(problem, 8, seed=8))
        for norm, momentum in zip(norms, kept, strict=True):
            norm.momentum = momentum

    def inputs(self, problem: Problem, batch: int, *, seed: int = 0) -> tuple[Tensor, ...]:
        """Random arguments of a forward, without padding."""
        torch.manual_seed(seed)
        return example_inputs(problem, batch)

    def run(self, module: Callable[..., Any], problem: Problem, inputs: tuple[Tensor, ...]) -> Tensor:
        """The output of a forward; raises `ConformanceError` where it fails, or gives no tensor."""
        try:
            output = module(*inputs)
        except Exception as error:
            shapes = ", ".join(str(list(tensor.shape)) for tensor in inputs)
            raise ConformanceError(
                f"{self.at(problem)}: the forward of {shapes} failed: {describe_error(error)}; "
                "let the builder refuse with zoo.SpecError what the model cannot do"
            ) from error
        if not isinstance(output, Tensor):
            kind = type(output).__name__
            raise ConformanceError(f"{self.at(problem)}: the forward gives a {kind}; give one tensor")
        return output

    # -- data --

    def task(self, problem: Problem) -> Task:
        """What trains and judges the model at that problem."""
        task: Task = self.registry.task_implementation(problem.task)
        return task

    def dataset(self, problem: Problem, recipe: Recipe) -> Dataset:
        """A few samples for that problem; real ones where the kit does not know what the task reads."""
        made = tiny_dataset(problem)
        if made is not None:
            return made
        for few in growing(self.registry, problem.task):
            with contextlib.suppress(DataError):  # too few for what the recipe wants
                splits = self.prepared(few, recipe).splits
                if min(map(len, splits.values())) >= BATCH:
                    return few
        raise NotCheckedError(f"no data set for {problem.task} with {BATCH} samples is installed")

    def prepared(self, dataset: Dataset, recipe: Recipe) -> Prepared:
        """Samples as the model sees them."""
        task = self.task(dataset.problem)
        return prepare(task, dataset, task.fit(dataset, self.model.spec, recipe))

    def at(self, problem: Problem) -> str:
        """The model and the problem, as a message begins."""
        return f"{self.model.name} at {describe(problem)}"


@cache
def subject_of(registry: Registry, name: str) -> Subject:
    """The model of that name; one object for all checks, which share the problems found for it."""
    return Subject(registry, registry.models[name])


def difference(one: Tensor, other: Tensor) -> float:
    """The largest difference, as a share of the largest number; infinite where the shapes differ."""
    if one.shape != other.shape:
        return float("inf")
    if not one.numel():
        return 0.0
    apart = (one.double() - other.double()).abs().max()
    scale = torch.maximum(one.double().abs().max(), other.double().abs().max()).clamp_min(1e-12)
    share = float(apart / scale)
    return share if share == share else float("inf")  # NaN is like nothing
