"""A run as one page that needs nothing else: what it reached, on what, at what cost, and what is wrong."""

from __future__ import annotations

import functools
import math
import os
from pathlib import Path
from typing import Any

import msgspec

from zoo.diagnosis import Diagnosis, judge
from zoo.diagnosis.examined import Examined, examine
from zoo.errors import DataError, RunError
from zoo.evaluation import Evaluation
from zoo.outcome import comparison, results, unit_of
from zoo.paths import told_of_new, write_new
from zoo.recipetext import to_toml
from zoo.registry import installed
from zoo.report.charts import Chart, chart
from zoo.report.samples import show
from zoo.runs import Run, without_tokenizer
from zoo.specs import TaskSpec, to_builtins
from zoo.units import format_metric

TEMPLATE = "report.html.j2"
WORST = 12  # samples that are shown
CLASSES = 30  # at most, for a matrix; of more classes the commonest confusions are listed
PAIRS = 20


def write_report(
    run: str | os.PathLike[str] | Run, output: str | os.PathLike[str], *, device: str = "cpu"
) -> None:
    """Writes the report of a finished run to the new file `output`, an HTML page that fetches nothing.

    Where its data is gone or changed, what must be asked of it is left out and the page says so. Raises
    `RunError` for a run that is not finished, or a file that is there already.
    """
    opened = run if isinstance(run, Run) else Run.open(run)
    opened.check_finished()
    path = Path(output)
    with told_of_new(path, another="-o", error=RunError):
        if path.exists():
            raise FileExistsError
        write_new(path, _page(opened, device).encode())


def _page(run: Run, device: str) -> str:
    registry, notes = installed(), []
    examined: Examined | None = None
    try:
        examined = examine(run, registry, data=None, device=device)
    except DataError as error:
        notes.append(f"{error}; so nothing is shown that must be asked of it")
    found = judge(run, registry, examined, notes)
    evaluation = examined.judge(worst=WORST) if examined else None
    told = _told(run, registry.task(run.record.problem.task), found, evaluation)
    page: str = _template().render(
        **told, worst=show(examined, evaluation.worst) if examined and evaluation else []
    )
    return page


def _template() -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined  # slow to import

    loader = PackageLoader("zoo.report", ".")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    return environment.get_template(TEMPLATE)


def _told(run: Run, task: TaskSpec, found: Diagnosis, evaluation: Evaluation | None) -> dict[str, Any]:
    """All that the page says, under the names that its template has for it."""
    record, history = run.record, run.history
    columns, rows = results(record, task)
    receipt = msgspec.json.format(msgspec.json.encode(without_tokenizer(record).receipt()), indent=2)
    return {
        "record": record,
        "data": str(record.data.get("name", record.source)),
        "task": task,
        "headline": _headline(run, task, evaluation),
        "columns": columns,
        "rows": rows,
        "charts": _charts(run, task) if history else [],
        "found": found,
        "classes": _classes(evaluation),
        "loss": evaluation.loss.replace("_", " ") if evaluation else "",
        "resources": comparison(record, history, task),
        "recipe": to_toml(to_builtins(record.recipe)),
        "receipt": receipt.decode(),
        "environment": {"device": record.device, "precision": record.precision, **record.versions},
    }


def _headline(run: Run, task: TaskSpec, evaluation: Evaluation | None) -> dict[str, str]:
    """The primary metric on the test split, its interval and what a trivial predictor reaches."""
    written = functools.partial(format_metric, unit=task.unit)
    record = run.record
    told = {"metric": task.metric.replace("_", " "), "value": written(record.metrics[task.metric])}
    if evaluation is not None:
        reached = evaluation.metrics[task.metric]
        told |= {"low": written(reached.low), "high": written(reached.high)}
        told |= {"samples": f"{evaluation.samples:,}"}
    trivial = record.baseline.get("metrics", {}).get(task.metric)
    if trivial is not None:
        told |= {"baseline": written(trivial), "baseline_name": record.baseline.get("name", "baseline")}
    return told


def _charts(run: Run, task: TaskSpec) -> list[Chart]:
    record, history = run.record, run.history
    steps = [row["step"] for row in history]
    baseline = record.baseline.get("metrics", {}).get(task.metric)
    name = task.metric.replace("_", " ")
    validated = [row["validation"][task.metric] for row in history]
    return [
        chart("training loss", steps, [row["loss"] for row in history], written="{:.3g}".format),
        chart(
            f"validation {name}",
            steps,
            validated,
            written=functools.partial(format_metric, unit=unit_of(task.metric, task)),
            level=baseline if baseline is not None and math.isfinite(baseline) else None,
            level_label=record.baseline.get("name", "baseline"),
        ),
    ]


def _classes(evaluation: Evaluation | None) -> dict[str, Any] | None:
    """The confusion matrix as rows of counts and shares, or the commonest confusions of many classes."""
    report = evaluation.classes if evaluation else None
    if report is None:
        return None
    told: dict[str, Any] = {"labels": report.labels, "scores": report.scores, "rows": []}
    told["ece"] = report.calibration.error if report.calibration else None
    told["pairs"] = report.confusions[:PAIRS] if len(report.labels) > CLASSES else []
    if len(report.labels) <= CLASSES:
        for label, counts in zip(report.labels, report.matrix.tolist(), strict=True):
            total = max(1, sum(counts))
            told["rows"].append((label, [(count, count / total) for count in counts]))
    return told
