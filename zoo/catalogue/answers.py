"""The recommender's answers to a grid of questions, for a page that cannot ask it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice, product
from typing import Any

from zoo.recommender import OBJECTIVES, find_device
from zoo.recommender.cost import Z80
from zoo.recommender.filter import Candidate
from zoo.recommender.outcomes import read_outcomes
from zoo.recommender.rank import Question
from zoo.registry import Registry
from zoo.specs import (
    Budget,
    Classes,
    Device,
    DeviceSpec,
    ImageInput,
    Problem,
    SeriesInput,
    SeriesOutput,
    TaskSpec,
    TokenInput,
    TokenOutput,
)

BYTES = 259  # tokens of byte-level text: padding, 256 bytes, begin, end
HORIZON = 24  # steps to forecast
TOP = 3
HOUR = 3600


@dataclass(frozen=True)
class Grid:
    """The questions: every combination of what is listed, for each task that an installed model does.

    `limits` are seconds that a training may take, None being no limit. Devices that are not installed are
    left out.
    """

    samples: Sequence[int] = (500, 5_000, 50_000)
    classes: Sequence[int] = (10, 100)
    sides: Sequence[int] = (32, 224)
    lengths: Sequence[int] = (64, 512)
    devices: Sequence[str] = (
        "laptop-cpu-4",
        "server-cpu-16",
        "apple-m2",
        "t4",
        "rtx-3060",
        "rtx-4090",
        "a100-80gb",
        "h100-sxm",
    )
    limits: Sequence[int | None] = (HOUR // 6, HOUR, 8 * HOUR, None)


@dataclass
class _Texts:
    """Texts that are named by their place."""

    places: dict[str, int] = field(default_factory=dict)

    def place(self, text: str) -> int:
        return self.places.setdefault(text, len(self.places))


def answer_grid(
    registry: Registry, grid: Grid, *, progress: Callable[[int, int], None] = lambda done, of: None
) -> dict[str, Any]:
    """The document that the page looks answers up in; `progress` is told how many there are so far.

    `answers` has a place for each combination of a task's `inputs`, its `classes`, the samples, the devices
    and the objectives, the last changing fastest.
    """
    devices = [find_device(registry, name) for name in grid.devices if name in registry.devices]
    tasks = [task for task in registry.tasks.values() if _inputs(task, grid) and _is_done(registry, task)]
    questions = {task.name: list(_problems(task, grid)) for task in tasks}
    outcomes = read_outcomes()
    texts, answers, done = _Texts(), {task.name: [] for task in tasks}, 0  # type: ignore[var-annotated]
    total = sum(map(len, questions.values())) * len(devices) * len(OBJECTIVES)
    for task, problems in questions.items():
        for problem, device in product(problems, devices):
            asked = Question(registry, problem, device, Budget(), calibrations={}, outcomes=outcomes)
            for objective in OBJECTIVES:
                answers[task].append(_answer(asked.aimed_at(objective), grid.limits, texts))
                done += 1
                progress(done, total)
    return {
        "samples": grid.samples,
        "limits": grid.limits,
        "objectives": list(OBJECTIVES),
        "devices": [device.spec.name for device in devices],
        "nearest": {name: _nearest(spec, devices) for name, spec in registry.devices.items()},
        "tasks": [_task_entry(task, grid) for task in tasks],
        "answers": answers,
        "texts": list(texts.places),
    }


# -- questions --------------------------------------------------------------------------------


def _is_done(registry: Registry, task: TaskSpec) -> bool:
    return any(task.name in model.spec.tasks for model in registry.models.values())


def _inputs(task: TaskSpec, grid: Grid) -> Sequence[int]:
    """Pixels a side, tokens or time steps; none for a task whose inputs are not known here."""
    known = {
        "image-classification": grid.sides,
        "text-classification": grid.lengths,
        "series-classification": grid.lengths,
        "language-modeling": grid.lengths,
        "seq2seq": grid.lengths,
        "forecasting": grid.lengths,
    }
    return known.get(task.name, ())


def _classes(task: TaskSpec, grid: Grid) -> Sequence[int]:
    return grid.classes if task.name.endswith("classification") else (0,)


def _problems(task: TaskSpec, grid: Grid) -> Iterator[Problem]:
    for size, classes, samples in product(_inputs(task, grid), _classes(task, grid), grid.samples):
        yield Problem(
            task=task.name, input=_input(task, size), output=_output(task, size, classes), samples=samples
        )


def _input(task: TaskSpec, size: int) -> ImageInput | TokenInput | SeriesInput:
    if task.name.startswith("image"):
        return ImageInput(channels=3, height=size, width=size)
    if task.name.startswith("series") or task.name == "forecasting":
        return SeriesInput(channels=1, length=size)
    return TokenInput(vocab_size=BYTES, length=size)


def _output(task: TaskSpec, size: int, classes: int) -> Classes | TokenOutput | SeriesOutput:
    if classes:
        return Classes(count=classes)
    if task.name == "forecasting":
        return SeriesOutput(channels=1, length=HORIZON)
    return TokenOutput(vocab_size=BYTES, length=size)


def _task_entry(task: TaskSpec, grid: Grid) -> dict[str, Any]:
    """What the form asks of a task, and how its answers are read."""
    kind = _input(task, 1).__struct_config__.tag
    return {
        "name": task.name,
        "summary": task.summary,
        "metric": task.metric,
        "unit": task.unit,
        "input": kind,
        "inputs": _inputs(task, grid),
        "classes": _classes(task, grid),
        "horizon": HORIZON if task.name == "forecasting" else None,
    }


# -- answers ----------------------------------------------------------------------------------


def _answer(question: Question, limits: Sequence[int | None], texts: _Texts) -> dict[str, Any]:
    """The picks that any limit of time asks for, and for each limit which of them."""
    within = [_within(question, limit) for limit in limits]
    picks = {id(candidate): candidate for chosen in within for candidate in chosen}
    places = {key: place for place, key in enumerate(picks)}
    return {
        "picks": [_pick(question, candidate, texts) for candidate in picks.values()],
        "within": [[places[id(candidate)] for candidate in chosen] for chosen in within],
        "notes": [texts.place(note) for note in question.notes()],
    }


def _within(question: Question, limit: int | None) -> list[Candidate]:
    """The best that surely take no longer, and the baseline if it does neither."""
    fitting = (
        candidate
        for candidate in question.ranked
        if limit is None or (candidate.seconds is not None and candidate.seconds.bound(Z80) <= limit)
    )
    chosen = list(islice(fitting, TOP))
    return chosen + [candidate for candidate in fitting if candidate is question.baseline]


def _pick(question: Question, candidate: Candidate, texts: _Texts) -> list[Any]:
    """Model, tag, three estimates as value, low and high, reasons, options, whether tied, and a baseline."""
    is_baseline = candidate is question.baseline
    choice = question.choice(candidate, question.ranked[0], is_baseline=is_baseline)
    estimates = (choice.score, choice.memory_bytes, choice.seconds)
    _, _, options = choice.command.partition(" --data DATA")
    return [
        texts.place(choice.model),
        texts.place(choice.weights) if choice.weights else None,
        *([one.value, one.low, one.high] if one else None for one in estimates),
        [texts.place(reason) for reason in choice.reasons],
        texts.place(options.strip()) if options else None,
        int(question.is_tied(candidate)),
        int(is_baseline),
    ]


# -- devices ----------------------------------------------------------------------------------


def _nearest(spec: DeviceSpec, devices: Sequence[Device]) -> int:
    """The place of the device in the grid that is most like it in kind, memory and speed."""
    return min(range(len(devices)), key=lambda place: _distance(spec, devices[place].spec))


def _distance(one: DeviceSpec, other: DeviceSpec) -> tuple[bool, bool, float]:
    cpus = (one.kind == "cpu") != (other.kind == "cpu")
    speeds = [max(spec.peak_flops.values(), default=1e13) for spec in (one, other)]
    apart = abs(math.log(speeds[0] / speeds[1]))
    if one.memory_bytes and other.memory_bytes:
        apart += abs(math.log(one.memory_bytes / other.memory_bytes))
    return cpus, one.kind != other.kind, apart
