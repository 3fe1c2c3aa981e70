"""What trainings here took, beside what the recommender says of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from recommend_tables.common import Line, bootstrap, coverage_line, error_line

from recommend_real import read_lines
from recommend_real.cases import CASES, WHOLE, Case
from zoo.recipes import resolve_recipe
from zoo.recommender.calibration import Calibration
from zoo.recommender.cost import FP32, IMPORTED_BYTES, SPEEDS, Z80, Cost, Plan
from zoo.recommender.devices import find_device
from zoo.recommender.facts import load_at, shape_seen
from zoo.registry import Registry
from zoo.specs import Device, convert

WORKED = "step_cpu_seconds"


@dataclass(frozen=True)
class Row:
    """A case with what was measured of it, what was predicted, and how surely."""

    case: Case
    told: Mapping[str, Any]
    memory: Cost  # above what is in memory after the imports
    step: Cost
    whole: Cost


def lines(folder: Path, registry: Registry) -> Iterator[Line | str]:
    """Memory, then the time of steps, then that of whole trainings: each case, and all of them together."""
    device = find_device(registry, "cpu")
    found = read_lines(folder / "calibrate.jsonl")
    calibration = convert(found[-1]["calibration"], Calibration, where="calibrate.jsonl") if found else None
    rows = list(_rows(read_lines(folder / "costs.jsonl"), CASES, registry, device, calibration))
    if rows:
        allocated = dict(_allocated(rows, read_lines(folder / "allocated.jsonl"), registry))
        yield from _memory_lines(rows, allocated)
        yield from _allocated_lines(rows, allocated)
        yield ""
        yield from _time_lines(rows, calibration)
        yield from _untimed_lines(folder, registry, device)
        yield from _again_lines(rows, read_lines(folder / "again.jsonl"))
        yield ""
    yield from _whole_lines(
        list(_rows(read_lines(folder / "whole.jsonl"), WHOLE, registry, device, calibration))
    )


def _rows(
    told: Sequence[Mapping[str, Any]],
    cases: Sequence[Case],
    registry: Registry,
    device: Device,
    calibration: Calibration | None,
) -> Iterator[Row]:
    """Each measured case as the recommender sees it, in the precision and the threads that it had."""
    known = {case.name: case for case in cases}
    for row in told:
        case = known.get(row["name"])
        if case is None:
            continue
        model = registry.models[case.model]
        problem = case.problem if case.data else case.problem.replace(samples=row["samples"])
        settings = {**case.settings, "precision": row["precision"]}
        recipe = resolve_recipe(model, case.task, samples=problem.samples, overrides=settings)
        plan = Plan(recipe, _threaded(device, row["threads"]), calibration)
        load = load_at(model.spec, problem, shape_seen(model.spec, problem, recipe))
        if load is None:
            continue
        step, whole = plan.step_seconds(load), plan.seconds(load)
        assert step is not None  # the processor's speed is known
        assert whole is not None
        memory = plan.memory(load)
        above = memory.value - IMPORTED_BYTES
        memory = Cost(above, memory.sd * memory.value / above)
        trained = Cost(whole.value - SPEEDS["cpu"].startup_seconds, whole.sd)
        yield Row(case, row, memory, step, trained)


def _threaded(device: Device, threads: int) -> Device:
    """The processor as so many of its cores are."""
    cores = device.cores or 1
    share = threads / cores
    peaks = {name: share * peak for name, peak in device.spec.peak_flops.items()}
    return device.replace(spec=device.spec.replace(peak_flops=peaks), cores=threads)


# -- what is printed --------------------------------------------------------------------------


def _memory_lines(rows: Sequence[Row], allocated: Mapping[str, tuple[float, float]]) -> Iterator[Line | str]:
    title = "peak of memory above the imports, MB"
    columns = (
        f"{'measured':>9} {'predicted':>9} {'error':>7} {'95% bound':>10} {'by torch':>9} {'by facts':>9}"
    )
    yield f"{title:<42} {columns}"
    gaps, exceeded = [], []
    for row in rows:
        measured = _above(row.told)
        gaps.append(float(np.log(row.memory.value / measured)))
        exceeded.append(measured > row.memory.upper)
        figures = f"{measured / 1e6:>9.0f} {row.memory.value / 1e6:>9.0f} {_percent(gaps[-1]):>7}"
        figures = f"{figures} {row.memory.upper / 1e6:>10.0f}"
        figures += "".join(f" {amount / 1e6:>9.0f}" for amount in allocated.get(row.case.name, ()))
        yield f"{row.case.name:<42} {figures}{' exceeded' if exceeded[-1] else ''}"
    yield error_line("memory above the imports", gaps, "<= 4 %")
    yield _quantile_line("memory above the imports: 90th percentile", gaps, "<= 10 %")
    yield Line(
        "memory: 95% bound exceeded", *bootstrap(100.0 * np.asarray(exceeded)), " %", "<= 2 %", len(rows)
    )
    whole = [float(np.log((row.memory.value + row.told["before"]) / row.told["peak"])) for row in rows]
    yield error_line("memory of the whole process", whole)
    yield _quantile_line("memory of the whole process: 90th percentile", whole)


def _allocated(
    rows: Sequence[Row], told: Sequence[Mapping[str, Any]], registry: Registry
) -> Iterator[tuple[str, tuple[float, float]]]:
    """What torch itself allocates for a step of each case, and what its facts come to."""
    known = {row.case.name: row.case for row in rows}
    for entry in told:
        if case := known.get(entry["name"]):
            yield case.name, (float(entry["bytes"]), _by_facts(case, registry))


def _allocated_lines(rows: Sequence[Row], allocated: Mapping[str, tuple[float, float]]) -> Iterator[Line]:
    """How near the facts are to it, and how many times as much the process takes."""
    if not allocated:
        return
    gaps = [float(np.log(summed / measured)) for measured, summed in allocated.values()]
    yield error_line("what torch allocates, by the facts", gaps)
    yield _quantile_line("what torch allocates, by the facts: 90th percentile", gaps)
    taken = [_above(row.told) / allocated[row.case.name][0] for row in rows if row.case.name in allocated]
    for name, share in (("the middle one", 0.5), ("a tenth is below", 0.1), ("a tenth is above", 0.9)):
        value, low, high = bootstrap(taken, lambda sample, share=share: float(np.quantile(sample, share)))
        yield Line(f"memory over what torch allocates: {name}", value, low, high, " x", "", len(taken))


def _by_facts(case: Case, registry: Registry) -> float:
    """Bytes of weights, optimizer and, in a step, of activations with the largest tensor, or of gradients."""
    model, problem = registry.models[case.model], case.problem
    alone = {"precision": "fp32", "ema_decay": 0.0, "average_after": None}  # without a mean of the weights
    recipe = resolve_recipe(model, case.task, samples=problem.samples, overrides={**case.settings, **alone})
    load = load_at(model.spec, problem, shape_seen(model.spec, problem, recipe))
    assert load is not None  # all cases have facts
    parts = Plan(recipe, find_device(registry, "cpu")).memory_parts(load)
    sample = load.activation_bytes("fp32") + load.largest_bytes("fp32") + FP32 * load.outputs
    return parts["weights and optimizer"] + max(FP32 * load.parameters, case.batch * sample)


def _time_lines(rows: Sequence[Row], calibration: Calibration | None) -> Iterator[Line | str]:
    how = "calibrated" if calibration else "not calibrated"
    yield f"{'a step, ms of the processor':<42} {'measured':>9} {'predicted':>9} {'error':>7}"
    gaps = []
    for row in rows:
        measured = row.told[WORKED]
        gaps.append(float(np.log(row.step.value / measured)))
        figures = f"{1000 * measured:>9.1f} {1000 * row.step.value:>9.1f}"
        yield f"{row.case.name:<42} {figures} {_percent(gaps[-1]):>7}"
    yield error_line(f"step, {how}", gaps, "<= 20 %")
    yield _quantile_line(f"step, {how}: 90th percentile", gaps, "<= 50 %")
    hits = [abs(gap) <= Z80 * row.step.sd for gap, row in zip(gaps, rows, strict=True)]
    yield coverage_line(f"step, {how}", hits)
    timed = {name.rpartition(" ")[2] for name in calibration.models} if calibration else set()
    for title, among in (("of models that were timed", True), ("of other models", False)):
        chosen = [
            gap
            for gap, row in zip(gaps, rows, strict=True)
            if (row.case.model.partition("/")[2] in timed) == among
        ]
        if timed and chosen:
            yield error_line(f"step, {how}, {title}", chosen)


def _untimed_lines(folder: Path, registry: Registry, device: Device) -> Iterator[Line]:
    """What would have been said before the machine was timed."""
    rows = list(_rows(read_lines(folder / "costs.jsonl"), CASES, registry, device, None))
    gaps = [float(np.log(row.step.value / row.told[WORKED])) for row in rows]
    yield error_line("step, not calibrated", gaps)
    yield _quantile_line("step, not calibrated: 90th percentile", gaps)
    bias = 100 * (float(np.exp(np.median(gaps))) - 1)
    yield Line("step, not calibrated: the middle one is off by", bias, bias, bias, " %", "", len(gaps))
    yield coverage_line(
        "step, not calibrated", [abs(g) <= Z80 * row.step.sd for g, row in zip(gaps, rows, strict=True)]
    )


def _again_lines(rows: Sequence[Row], again: Sequence[Mapping[str, Any]]) -> Iterator[Line]:
    """By how much two measurements of a case differ; a forecast of their mean would be off by 0.7 of it."""
    second = {told["name"]: told for told in again}
    pairs = [(row.told, second[row.case.name]) for row in rows if row.case.name in second]
    if not pairs:
        return
    steps = [float(np.log(other[WORKED] / one[WORKED])) for one, other in pairs]
    yield error_line("step, measured again", steps)
    yield _quantile_line("step, measured again: 90th percentile", steps)
    memory = [float(np.log(_above(other) / _above(one))) for one, other in pairs]
    yield error_line("memory above the imports, measured again", memory)
    yield _quantile_line("memory, measured again: 90th percentile", memory)


def _above(told: Mapping[str, Any]) -> float:
    """The peak of memory above the imports, in bytes."""
    return float(told["peak"] - told["before"])


def _whole_lines(rows: Sequence[Row]) -> Iterator[Line | str]:
    if not rows:
        return
    title = "a whole training, s of the processor"
    yield f"{title:<42} {'measured':>9} {'predicted':>9} {'80% interval':>16}"
    inside = 0
    for row in rows:
        measured = row.told["run_cpu_seconds"]
        low, high = row.whole.bound(-Z80), row.whole.bound(Z80)
        inside += low <= measured <= high
        mark = "" if low <= measured <= high else " outside"
        interval = f"[{low:.1f}, {high:.1f}]"
        yield f"{row.case.name:<42} {measured:>9.1f} {row.whole.value:>9.1f} {interval:>16}{mark}"
    yield f"{'whole trainings inside their 80% interval':<42} {inside:>6} of {len(rows)}   aim 4 of 5"


def _percent(gap: float) -> str:
    return f"{100 * np.expm1(gap):+.0f} %"


def _quantile_line(name: str, gaps: Sequence[float], aim: str = "") -> Line:
    errors = 100 * np.abs(np.expm1(np.asarray(gaps)))
    return Line(
        name, *bootstrap(errors, lambda sample: float(np.quantile(sample, 0.9))), " %", aim, len(errors)
    )
