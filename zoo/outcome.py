"""What came of a training, beside what a trivial predictor reaches and what was predicted."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from zoo.runs import RunRecord
from zoo.specs import TaskSpec
from zoo.units import format_bytes, format_metric, format_seconds

Cells = tuple[str, ...]


def results(record: RunRecord, task: TaskSpec) -> tuple[Cells, list[Cells]]:
    """Every metric on the test split: the names of the columns, and a row for each."""
    baseline = record.baseline.get("metrics", {})
    step = record.best.get("step")
    columns = (
        "test",
        "this model",
        record.baseline.get("name", "baseline"),
        f"validation, best at step {step:,.0f}" if step is not None else "validation",
    )
    rows = [
        (name, *(_cell(found.get(name), name, task) for found in (record.metrics, baseline, record.best)))
        for name in record.metrics
    ]
    return columns, rows


def comparison(
    record: RunRecord, history: Sequence[Mapping[str, Any]], task: TaskSpec
) -> list[tuple[str, str]]:
    """Time, memory and score, each beside its prediction where there was one, and why there was none."""
    memory = max((row.get("memory_bytes", 0) for row in history), default=0)
    planned = record.predicted.get("steps", record.steps)
    whole = "" if record.steps == planned else f" for all {planned:,} steps"
    lines = [("time", format_seconds(record.seconds) + _predicted(record, "seconds", format_seconds, whole))]
    if memory:
        lines.append(("memory", format_bytes(memory) + _predicted(record, "memory_bytes", format_bytes, "")))
    written = functools.partial(format_metric, unit=task.unit)
    if foreseen := _predicted(record, "score", written, whole):
        lines.append((task.metric, written(record.metrics[task.metric]) + foreseen))
    return [*lines, *(("note", note) for note in record.predicted.get("notes", ()))]


def _predicted(record: RunRecord, name: str, format: Callable[[float], str], what: str) -> str:
    estimate = record.predicted.get(name)
    if estimate is None:
        return ""
    low, high = format(estimate["low"]), format(estimate["high"])
    number, _, unit = low.partition(" ")
    if unit and high.endswith(f" {unit}"):  # said once
        low = number
    return f" (predicted {low} to {high}{what})"


def unit_of(metric: str, task: TaskSpec) -> str:
    """How one of a task's metrics is written: as a `fraction` or as a plain `number`."""
    if metric == task.metric:
        return task.unit
    return "fraction" if metric.endswith(("accuracy", "match", "f1")) else "number"


def _cell(value: float | None, name: str, task: TaskSpec) -> str:
    return "" if value is None else format_metric(value, unit_of(name, task))
