"""How fast a device trains, timed: one small network of each kind for some seconds, then models."""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from zoo.profile import example_inputs, profile
from zoo.recipes import resolve_recipe
from zoo.recommender.calibration import Calibration, Timing, fit_timings, group_of
from zoo.recommender.cost import Plan
from zoo.recommender.devices import find_device
from zoo.recommender.facts import Load, load_at, shape_of
from zoo.registry import Model, Registry
from zoo.specs import Classes, Device, ImageInput, Precision, Problem, Recipe
from zoo.training.engine import Engine
from zoo.training.timing import Clock, Timer, step_seconds

TASK, CLASSES, SIDE = "image-classification", 10, 32
QUICK_SECONDS, SLOW_SECONDS = 0.25, 1.0  # of a step, by the law of the small networks: see `_chosen`
LEAST, MOST = 16, 64  # samples at once: of 8, convolutions on a CPU take up to twice as long each
LEAST_SHARE = 0.3  # of a step, that its samples take
ROUNDS = 2  # through all models: many a machine is a quarter slower for some seconds
FEW = 10  # models of a group, of which all are timed
SPREAD = 0.05, 0.2, 0.5, 0.8, 0.95  # places of those that are timed among many, by operations for a byte


@dataclass(frozen=True)
class Sample:
    """A network of one kind, and in batches of how many it is timed."""

    family: str
    module: type[nn.Module]
    batch: int


class _Candidate(NamedTuple):
    """A model that may be timed at its reference problem."""

    model: Model
    task: str
    plan: Plan
    load: Load

    @property
    def intensity(self) -> float:
        """The operations for a byte that is kept."""
        return 6 * self.load.macs / max(1.0, self.load.activation_bytes(self.plan.precision))


def calibrate(
    registry: Registry,
    *,
    device: str = "auto",
    clock: Clock = "perf_counter",
    tell: Callable[[str], object] = str,
) -> Calibration:
    """What trainings on this machine's `device` reach, in the precision that is chosen here and in fp32.

    First small networks that stand for a family each, then quick models of those installed, in a process of
    their own, twice each. It takes two to four minutes of a machine that does nothing else meanwhile; `tell`
    gets a line for each. A `clock` of the processor's time leaves out what other work takes from it.
    """
    problem = _problem()
    chosen = Engine(Recipe(), problem, device=device).precision
    timings: dict[Precision, list[Timing]] = {}
    for precision in dict.fromkeys((chosen, "fp32")):
        timings[precision] = [_time_sample(sample, precision, device, clock, tell) for sample in SAMPLES]
    found = fit_timings(timings, measured=datetime.date.today().isoformat())
    candidates = list(_chosen(registry, find_device(registry, device), found))
    with Timer(device=device, clock=clock) as timer:
        taken = _time_models(candidates, timer, tell)
    groups: dict[str, list[tuple[float, float, float]]] = {}
    models: dict[str, tuple[float, float]] = {}
    for candidate in candidates:
        pairs = taken.get(candidate.model.name)
        if pairs and (point := _point(candidate, pairs)):
            group = group_of(candidate.task, candidate.load.family)
            groups.setdefault(group, []).append((candidate.intensity, *point))
            models[f"{group} {candidate.load.name}"] = point
    return found.replace(groups={name: tuple(group) for name, group in groups.items()}, models=models)


def _time_models(
    candidates: Sequence[_Candidate], timer: Timer, tell: Callable[[str], object]
) -> dict[str, list[tuple[float, float]]]:
    """What was timed of each, by its name, in so many rounds; one that fails is left out of those to come."""
    taken: dict[str, list[tuple[float, float]]] = {}
    left = candidates
    for _ in range(ROUNDS):
        trained = []
        for candidate in left:
            pair = _time_model(candidate, timer, tell)
            if pair is not None:
                taken.setdefault(candidate.model.name, []).append(pair)
                trained.append(candidate)
        left = trained
    return taken


def _time_model(
    candidate: _Candidate, timer: Timer, tell: Callable[[str], object]
) -> tuple[float, float] | None:
    """The seconds of a step in small batches and in large ones; None, which is told of, where it fails."""
    name, recipes = candidate.model.name, _quartered(candidate.plan.recipe)
    few = timer.seconds(name, recipes[0])
    many = None if few is None else timer.seconds(name, recipes[1])
    if few is None or many is None:
        tell(f"{name}: left out, its training fails or stalls here")
        return None
    small, large = (each.batch_size for each in recipes)
    tell(f"{name}: {1000 * many:.1f} ms a step of {large}, {1000 * few:.1f} ms of {small}")
    return few, many


def _point(candidate: _Candidate, pairs: Sequence[tuple[float, float]]) -> tuple[float, float] | None:
    """How many times as long a sample takes as by the rates alone, and the seconds of a step besides."""
    foreseen = candidate.plan.sample_seconds(candidate.load)
    if not foreseen:
        return None
    few, many = (sum(seconds) / len(pairs) for seconds in zip(*pairs, strict=True))
    small, large = (recipe.batch_size for recipe in _quartered(candidate.plan.recipe))
    each = max((many - few) / max(1, large - small), LEAST_SHARE * many / large)
    return each / foreseen, max(0.0, many - large * each)


def _quartered(recipe: Recipe) -> tuple[Recipe, Recipe]:
    """The recipe in batches of a quarter, and as it is: what differs is owed to the samples."""
    return recipe.replace(batch_size=max(1, recipe.batch_size // 4)), recipe


def _problem() -> Problem:
    image = ImageInput(channels=3, height=SIDE, width=SIDE)
    return Problem(task=TASK, input=image, output=Classes(count=CLASSES))


def _time_sample(
    sample: Sample, precision: Precision, device: str, clock: Clock, tell: Callable[[str], object]
) -> Timing:
    """The seconds of a step, with what the network costs by its facts."""
    problem = _problem()
    facts = profile(sample.module, partial(example_inputs, problem))
    torch.manual_seed(0)
    recipe = Recipe(batch_size=sample.batch, precision=precision)
    seconds = step_seconds(sample.module(), problem, recipe, device=device, clock=clock)
    tell(f"{sample.family or 'no'} layers in {precision}: {1000 * seconds:.2f} ms a step of {sample.batch}")
    return Timing(
        family=sample.family,
        batch=sample.batch,
        macs=facts.macs,
        kept=facts.activation_bytes["fp32" if precision == "fp32" else "bf16"],
        seconds=seconds,
    )


def _chosen(registry: Registry, place: Device, found: Calibration) -> Iterator[_Candidate]:
    """Each plugin's quick models of a task and family; of many some, from few to many operations a byte.

    Batches are halved until a step is quick, or they are of the `LEAST` samples; models whose steps are
    slow even then are left out.
    """
    groups: dict[str, list[_Candidate]] = {}
    for model in registry.models.values():
        problem = model.spec.reference
        if problem is None or model.spec.facts is None:
            continue
        load = load_at(model.spec, problem, shape_of(problem))
        if load is None:
            continue
        planned = partial(Plan, device=place, calibration=found, exact=problem.keeps_fp32)
        plan = planned(_shortened(resolve_recipe(model, problem.task)))
        while (seconds := _seconds(plan, load)) > QUICK_SECONDS and plan.recipe.batch_size > LEAST:
            plan = planned(plan.recipe.replace(batch_size=max(LEAST, plan.recipe.batch_size // 2)))
        if seconds <= SLOW_SECONDS:
            name = f"{model.plugin.name} {group_of(problem.task, load.family)}"
            groups.setdefault(name, []).append(_Candidate(model, problem.task, plan, load))
    for group in groups.values():
        ordered = sorted(group, key=lambda each: (each.intensity, each.model.name))
        last = len(ordered) - 1
        some = sorted({round(share * last) for share in SPREAD})
        for row in range(last + 1) if last < FEW else some:
            yield ordered[row]


def _seconds(plan: Plan, load: Load) -> float:
    """Of a step, by the law of the small networks."""
    cost = plan.step_seconds(load)
    return math.inf if cost is None else cost.value


def _shortened(recipe: Recipe) -> Recipe:
    """In batches small enough to be timed quickly."""
    batch = min(MOST, recipe.batch_size)
    return recipe.replace(batch_size=batch, accumulate=1, ema_decay=0.0)


# -- what is timed ----------------------------------------------------------------------------


class _Least(nn.Sequential):
    """Next to nothing: what a step costs whatever is trained."""

    def __init__(self) -> None:
        super().__init__(nn.AvgPool2d(SIDE), nn.Flatten(), nn.Linear(3, CLASSES))


class _Convolutions(nn.Sequential):
    """Convolutions of three by three with batch norms, in two stages."""

    def __init__(self) -> None:
        blocks = (
            _convolution(3, 32),
            _convolution(32, 32),
            _convolution(32, 64, stride=2),
            _convolution(64, 64),
        )
        super().__init__(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, CLASSES))


class _Separable(nn.Sequential):
    """Convolutions of each channel by itself, between such of one pixel: many bytes, few operations."""

    def __init__(self) -> None:
        blocks = [
            nn.Sequential(_convolution(width, width, groups=width), _convolution(width, 64, size=1))
            for width in (32, 64, 64)
        ]
        stem = _convolution(3, 32)
        super().__init__(stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, CLASSES))


class _Attention(nn.Module):
    """Two blocks of a transformer over 64 patches."""

    def __init__(self, width: int = 128) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, 4, stride=4)
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(
                width, 4, 4 * width, batch_first=True, norm_first=True, activation="gelu"
            )
            for _ in range(2)
        )
        self.head = nn.Linear(width, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        """Images `[B, 3, H, W]` to logits `[B, K]`."""
        steps = self.patches(images).flatten(2).transpose(1, 2)  # [B, T, D]
        for block in self.blocks:
            steps = block(steps)
        logits: Tensor = self.head(steps.mean(dim=1))
        return logits


class _Recurrent(nn.Module):
    """An LSTM over 128 steps of 24 values each."""

    def __init__(self, width: int = 128) -> None:
        super().__init__()
        self.lstm = nn.LSTM(24, width, batch_first=True)
        self.head = nn.Linear(width, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        """Images `[B, 3, H, W]` to logits `[B, K]`."""
        states, _ = self.lstm(images.reshape(len(images), -1, 24))  # [B, T, D]
        logits: Tensor = self.head(states.mean(dim=1))
        return logits


def _convolution(inputs: int, outputs: int, *, size: int = 3, stride: int = 1, groups: int = 1) -> nn.Module:
    convolution = nn.Conv2d(inputs, outputs, size, stride, size // 2, groups=groups, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())


SAMPLES = (
    Sample("", _Least, 32),
    Sample("cnn", _Convolutions, 64),
    Sample("cnn", _Separable, 64),
    Sample("transformer", _Attention, 32),
    Sample("rnn", _Recurrent, 32),
)
