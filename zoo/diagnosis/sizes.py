"""A run's training repeated on parts of its data, and what they say that twice the data would bring."""

from __future__ import annotations

import math
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from zoo import api
from zoo.data.dataset import COLUMNS, Columns, Dataset
from zoo.diagnosis.law import Law, drawn, fit
from zoo.errors import RunError
from zoo.evaluation import INTERVAL
from zoo.limits import Limits
from zoo.registry import installed
from zoo.runs import Run
from zoo.specs import to_builtins
from zoo.units import format_metric

FRACTIONS = (1 / 8, 1 / 4, 1 / 2, 1.0)
ROUNDS = 3  # trainings of each size, of which each has another seed and other samples
NAMELESS = ("run", "custom")  # tags of weights that came from a folder or a file, whose place is not kept
NOISE = 2.0  # deviations, by which the largest part must be better than the smallest
MISFIT = 3.0  # deviations, by which the sizes may miss the law on average


class Size(msgspec.Struct, frozen=True, kw_only=True):
    """What trainings on a part of the data reached: the primary metric on the test split, one for each."""

    fraction: float
    samples: int
    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Over the trainings."""
        return statistics.fmean(self.values)


class Forecast(msgspec.Struct, frozen=True, kw_only=True):
    """What the law says of `samples` samples: the metric, and how much better than now; 80% intervals.

    `exponent` and `floor` (an error) are those of the law.
    """

    samples: int
    value: float
    low: float
    high: float
    gain: float
    gain_low: float
    gain_high: float
    exponent: float
    floor: float


class LearningCurve(msgspec.Struct, frozen=True, kw_only=True):
    """The metric by training samples; `forecast` is None where it cannot be said, and `reason` says why."""

    run: str
    model: str
    data: str
    metric: str
    unit: str
    maximize: bool
    sizes: tuple[Size, ...]
    steps: int
    planned: int
    forecast: Forecast | None = None
    reason: str = ""

    def as_json(self) -> dict[str, Any]:
        """What `--json` prints of it."""
        return {"schema": 1, **to_builtins(self)}


def learning_curve(
    run: str | os.PathLike[str] | Run,
    *,
    data: Dataset | None = None,
    device: str = "cpu",
    seconds: float | None = None,
    rounds: int = ROUNDS,
    report: Callable[[float, float], None] | None = None,
) -> LearningCurve:
    """Trains on 1/8, 1/4, 1/2 and all of a run's data, by its recipe, and foresees twice as much.

    A part holds the one before it, and each class in its share; every training has as many steps as the run,
    so that less data is not less training too. `seconds` bounds the whole: trainings of the first round share
    it, and further rounds, up to `rounds`, are made where there is time. `report` hears of each
    training's fraction and result. Raises `RunError` for a run that started from weights that are not known.
    """
    opened = run if isinstance(run, Run) else Run.open(run)
    opened.check_finished()
    if opened.record.weights.rpartition(".")[2] in NAMELESS:
        raise RunError(f"{str(opened.path)!r} started from weights in a file, whose place it does not know")
    dataset = api.data_of(opened.path) if data is None else data
    until = None if seconds is None else time.perf_counter() + seconds
    found: dict[float, list[float]] = {fraction: [] for fraction in FRACTIONS}
    sizes: dict[float, int] = {}
    steps = taken = 0
    for number in range(rounds):
        begun = time.perf_counter()
        if until is not None and number and begun + taken > until:
            break
        for place, fraction in enumerate(FRACTIONS):
            left = None if until is None else max(1.0, until - time.perf_counter()) / (len(FRACTIONS) - place)
            part = part_of(dataset, fraction, seed=number)
            made = _train(opened, part, fraction, seed=number, seconds=left, device=device)
            sizes[fraction] = part.problem.samples or 0
            found[fraction].append(made.metrics[_task(opened).metric])
            steps = made.record.steps if not steps else min(steps, made.record.steps)
            if report:
                report(fraction, found[fraction][-1])
        taken = math.ceil(time.perf_counter() - begun)
    return _curve(opened, dataset, [(part, sizes[part], found[part]) for part in FRACTIONS], steps)


def part_of(dataset: Dataset, fraction: float, *, seed: int = 0) -> Dataset:
    """The data set with a part of its training samples; a smaller part is inside of a larger one.

    Each class keeps its share, and at least one sample; of a series the last steps are kept.
    """
    columns = dataset.splits["train"]
    count = dataset.size("train")
    if dataset.problem.task == "forecasting":
        rows = np.arange(count - math.ceil(fraction * count), count)
    else:
        labels = np.asarray(columns["labels"]) if "labels" in columns else np.zeros(count, dtype=np.int64)
        rows = _stratified(labels, fraction, seed)
    kept: Columns = {name: _rows(column, rows) for name, column in columns.items()}
    whole = dataset.problem.samples or count
    samples = len(rows) if len(COLUMNS[dataset.problem.task]) > 1 else max(1, round(fraction * whole))
    problem = dataset.problem.replace(samples=samples)
    return replace(dataset, splits={**dataset.splits, "train": kept}, problem=problem)


def _stratified(labels: NDArray[np.int64], fraction: float, seed: int) -> NDArray[np.int64]:
    order = np.random.Generator(np.random.PCG64(seed)).permutation(len(labels))
    chosen = []
    for label in np.unique(labels):
        rows = order[labels[order] == label]
        chosen.append(rows[: max(1, round(fraction * len(rows)))])
    return np.sort(np.concatenate(chosen))


def _rows(column: Any, rows: NDArray[np.int64]) -> Any:
    return [column[row] for row in rows.tolist()] if isinstance(column, list | tuple) else column[rows]


def _task(run: Run) -> Any:
    return installed().task(run.record.problem.task)


def _train(run: Run, part: Dataset, fraction: float, *, seed: int, seconds: float | None, device: str) -> Run:
    """One training of the run's, on a part of its data, in a folder that does not stay."""
    record, recipe = run.record, run.record.recipe
    planned = recipe.total_steps(record.problem.samples or part.size("train"))
    settings = msgspec.to_builtins(msgspec.structs.asdict(recipe))  # those at their default too
    settings |= {
        "steps": planned,
        "seed": recipe.seed + seed,
        "warmup_epochs": recipe.warmup_epochs / fraction,  # as many steps
        "head_epochs": recipe.head_epochs / fraction,
        "precision": record.precision,
        "compile": False,
    }
    with tempfile.TemporaryDirectory() as folder:
        return api.train(
            record.model,
            part,
            output=Path(folder) / "run",
            settings=settings,
            weights=record.weights or None,
            device=device,
            limits=Limits(max_seconds=seconds, started=time.perf_counter()),
            **record.options,
        )


# -- what the sizes say -----------------------------------------------------------------------


def _curve(
    run: Run, dataset: Dataset, found: list[tuple[float, int, list[float]]], steps: int
) -> LearningCurve:
    record, task = run.record, _task(run)
    sizes = tuple(Size(fraction=part, samples=size, values=tuple(values)) for part, size, values in found)
    curve = LearningCurve(
        run=str(run.path),
        model=record.model,
        data=dataset.name,
        metric=task.metric,
        unit=task.unit,
        maximize=task.maximize,
        sizes=sizes,
        steps=steps,
        planned=record.recipe.total_steps(record.problem.samples or dataset.size("train")),
    )
    return foresee(curve, judged=dataset.size("test"))


def foresee(curve: LearningCurve, *, judged: int) -> LearningCurve:
    """The curve with what it says of twice the data, or why it says nothing; `judged` test samples."""
    errors = np.array([_error(curve, size.mean) for size in curve.sizes])
    samples = np.array([float(size.samples) for size in curve.sizes])
    deviations = _deviations(curve, errors, judged)
    reason = "" if deviations is not None else "of one training for each size it is not known how they differ"
    if deviations is not None:
        reason = "; ".join(_unsupported(curve, samples, errors, deviations))
    if deviations is None or reason:
        return msgspec.structs.replace(curve, reason=reason)
    now, twice = float(samples[-1]), 2 * float(samples[-1])
    central = fit(samples, errors[None], deviations)
    misfit = float(np.sqrt(np.mean(_missed(central, samples, errors) ** 2)))
    laws = fit(samples, drawn(errors, np.maximum(deviations, misfit)), deviations)
    low, high = np.percentile(laws(twice), INTERVAL)
    gains = np.percentile(laws(now) - laws(twice), INTERVAL)
    error, gain = float(central(twice)[0]), float((central(now) - central(twice))[0])
    low, high = min(float(low), error), max(float(high), error)
    if high - low > float(central(now)[0]):
        wide = f"{_written(curve, low)} and {_written(curve, high)} are both likely enough"
        return msgspec.structs.replace(curve, reason=f"the trainings differ too much: {wide}")
    ends = sorted((_value(curve, low), _value(curve, high)))
    forecast = Forecast(
        samples=round(twice),
        value=_value(curve, error),
        low=ends[0],
        high=ends[1],
        gain=gain,
        gain_low=min(float(gains[0]), gain),
        gain_high=max(float(gains[1]), gain),
        exponent=float(central.exponent[0]),
        floor=float(central.floor[0]),
    )
    return msgspec.structs.replace(curve, forecast=forecast)


def _deviations(curve: LearningCurve, errors: NDArray[Any], judged: int) -> NDArray[Any] | None:
    """How far each size's mean is from what many trainings would give.

    By the spread over seeds; of a share of samples also by how few they are. None where neither is known.
    """
    counts = np.array([len(size.values) for size in curve.sizes])
    spreads = [statistics.variance(size.values) for size in curve.sizes if len(size.values) > 1]
    if not spreads and curve.unit != "fraction":
        return None
    seeds = np.sqrt(statistics.fmean(spreads) / counts) if spreads else np.zeros(len(errors))
    chance = errors.clip(1 / judged, 1 - 1 / judged)
    drawn_test = np.sqrt(chance * (1 - chance) / judged) if curve.unit == "fraction" else 0.0
    # the same test samples judge every size, so that they move all of them together
    return np.asarray(np.maximum(np.hypot(seeds, 0.5 * drawn_test), 1e-3 * errors.max() + 1e-9))


def _unsupported(
    curve: LearningCurve, samples: NDArray[Any], errors: NDArray[Any], deviations: NDArray[Any]
) -> Iterator[str]:
    """Why the law cannot be read from these sizes."""
    if len(np.unique(samples)) < len(FRACTIONS):
        yield f"{samples[-1]:,.0f} training samples are too few to be parted"
        return
    apart = NOISE * float(np.hypot(deviations[0], deviations[-1]))
    if errors[0] - errors[-1] <= apart:
        went = f"from {_written(curve, errors[0])} to {_written(curve, errors[-1])}"
        yield (
            f"from {samples[0]:,.0f} to {samples[-1]:,.0f} samples it went {went}, and trainings of one size "
            "differ as much"
        )
        return
    law = fit(samples, errors[None], deviations)
    if float(np.sqrt(np.mean((_missed(law, samples, errors) / deviations) ** 2))) > MISFIT:
        yield "the sizes do not lie on a power law"


def _missed(law: Law, samples: NDArray[Any], errors: NDArray[Any]) -> NDArray[Any]:
    """How far the law is from each error."""
    return np.asarray(np.array([float(law(size)[0]) for size in samples]) - errors)


def _error(curve: LearningCurve, value: float) -> float:
    """The metric as an error, less of which is better."""
    return 1 - value if curve.maximize else value


def _value(curve: LearningCurve, error: float) -> float:
    return 1 - error if curve.maximize else error


def _written(curve: LearningCurve, error: float) -> str:
    return format_metric(_value(curve, error), curve.unit)
