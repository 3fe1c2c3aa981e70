"""What is wrong with a finished run, by its course, its weights and its data, and what to do about it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import msgspec

from zoo.advice import Advice, advise, cut_short, own_recipe
from zoo.commands import Commands
from zoo.data.dataset import Dataset
from zoo.diagnosis import checks
from zoo.diagnosis.examined import Examined, examine
from zoo.errors import DataError
from zoo.evaluation import Metric
from zoo.registry import Registry, installed
from zoo.runs import Run
from zoo.specs import to_builtins

COURSE = ("learning rate", "waiting for data", "underfitting", "length of the training", "overfitting")
MEASURED = ("leakage", "imbalance", "label noise")
RANK = {"certain": 0, "likely": 1, "possible": 2}


class Diagnosis(msgspec.Struct, frozen=True, kw_only=True):
    """What was found of a run, the surest first; `checks` were made, `notes` say why others were not.

    `metrics` has the task's `metric`, with its 80% interval, on each split.
    """

    run: str
    model: str
    data: str
    metric: str
    findings: tuple[Advice, ...]
    checks: tuple[str, ...]
    metrics: dict[str, Metric] = {}
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The document that `zoo diagnose --json` prints."""
        return {"schema": 1, **to_builtins(self)}


def diagnose(
    run: str | os.PathLike[str] | Run, *, data: Dataset | None = None, device: str = "cpu"
) -> Diagnosis:
    """What the course of a run, its weights and its data give reason to change.

    The data is read as it was in training; pass it where it was made in code. Where it is gone or changed,
    only the course is judged, and `notes` say so. Raises `RunError` for what is no run.
    """
    opened, registry = run if isinstance(run, Run) else Run.open(run), installed()
    examined, notes = None, []
    if (opened.path / "model.safetensors").exists():
        try:
            examined = examine(opened, registry, data=data, device=device)
        except DataError as error:
            notes.append(f"only its course was judged: {error}")
    else:
        notes.append("only its course was judged: it has no weights yet")
    return judge(opened, registry, examined, notes)


def judge(run: Run, registry: Registry, examined: Examined | None, notes: Sequence[str] = ()) -> Diagnosis:
    """The same of a run that was examined already, or that cannot be."""
    record = run.record
    commands = Commands(record, own_recipe(record, registry))
    course = [*cut_short(run, registry), *advise(run, registry)]
    measured: list[Advice] = []
    if examined is not None:
        for check in (checks.fit, checks.leakage, checks.imbalance, checks.label_noise):
            measured += check(examined, commands)
    seen = {advice.title for advice in measured}
    found = [*measured, *(advice for advice in course if advice.title not in seen)]
    return Diagnosis(
        run=str(run.path),
        model=record.model,
        data=str(record.data.get("name", record.source)),
        metric=registry.task(record.problem.task).metric,
        findings=tuple(sorted(found, key=lambda advice: RANK[advice.sure])),
        checks=COURSE + (MEASURED if examined is not None else ()),
        metrics=examined.metrics if examined is not None else {},
        notes=tuple(notes),
    )
