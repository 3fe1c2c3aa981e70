"""`zoo runs`: what was trained, side by side."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import click

from zoo.cli.ending import warn
from zoo.cli.output import device_option, json_option, print_json, print_lines, print_table
from zoo.errors import RunError
from zoo.histories import differences, find_runs, remove_run, size_of, spark
from zoo.outcome import comparison, results, unit_of
from zoo.paths import told_of_new, write_new
from zoo.recipetext import to_toml
from zoo.registry import installed
from zoo.runs import Run
from zoo.specs import TaskSpec, to_builtins
from zoo.units import format_bytes, format_metric, format_seconds

RUN = click.Path(path_type=Path)


@click.group()
def runs() -> None:
    """See, compare and remove what was trained."""


@runs.command("list")
@click.argument("folder", default="runs", type=RUN)
@click.option("--model", default="*", metavar="GLOB", help="Only runs of these models.")
@click.option("--data", metavar="NAME", help="Only runs on this data.")
@click.option(
    "--state", type=click.Choice(["running", "interrupted", "finished", "trial"]), help="Only runs so far."
)
@click.option("--sort", type=click.Choice(["time", "metric"]), default="time", show_default=True)
@json_option
@click.pass_context
def list_runs(
    ctx: click.Context,
    folder: Path,
    model: str,
    data: str | None,
    state: str | None,
    sort: str,
    as_json: bool,
) -> None:
    """List the runs below FOLDER, the last one at the end; by metric, the best one."""
    found, faults = find_runs(folder)
    for fault in faults:
        warn(ctx, fault)
    wanted = [
        run
        for run in found
        if fnmatchcase(run.record.model, model)
        and (data is None or data in (run.record.data.get("name"), run.record.source))
        and (state is None or run.record.state == state)
    ]
    if sort == "metric":
        wanted.sort(key=_rank)
    if as_json:
        print_json({"schema": 1, "runs": [_document(run) for run in wanted]})
        return
    columns = ("run", "model", "data", "samples", "state", "steps", "time", "test")
    print_table(columns, [_row(run) for run in wanted], right=("samples", "steps", "time", "test"))


@runs.command()
@click.argument("run", type=RUN)
@json_option
def show(run: Path, as_json: bool) -> None:
    """Show all that is known of RUN: results, curves, its settings, the way on."""
    opened = Run.open(run)
    if as_json:
        print_json({**_document(opened), "history": opened.history, "bytes": size_of(opened.path)})
        return
    record, task = opened.record, _task(opened)
    click.echo(f"{record.model} on {record.data.get('name', record.source)}: {record.state}")
    if record.metrics:
        columns, rows = results(record, task)
        print_table(columns, rows, right=columns[1:])
    lines = comparison(record, opened.history, task) if record.metrics else []
    print_lines([*lines, *_curves(opened, task), ("size", format_bytes(size_of(opened.path)))])
    click.echo(to_toml(to_builtins(record.recipe)), nl=False)
    if record.state != "finished":
        click.echo(f"go on with it: zoo train --resume {run}", err=True)


@runs.command()
@click.argument("paths", nargs=-1, required=True, type=RUN, metavar="RUN RUN...")
@click.option("--plot", type=RUN, metavar="FILE", help="Draw the curves over each other, as a PNG.")
@json_option
def compare(paths: tuple[Path, ...], plot: Path | None, as_json: bool) -> None:
    """Show what differs between runs: settings, results, curves."""
    if len(paths) < 2:
        raise click.UsageError("give at least two runs: zoo runs compare RUN RUN")
    opened = [Run.open(path) for path in paths]
    task = _task(opened[0])
    strange = next((run for run in opened if run.record.problem.task != task.name), None)
    if strange is not None:
        raise RunError(f"{str(strange.path)!r} does {strange.record.problem.task}, the first {task.name}")
    if plot is not None:
        _draw(opened, task, plot)
    settings = differences(opened)
    if as_json:
        documents = [_document(run) for run in opened]
        print_json({"schema": 1, "runs": documents, "differences": to_builtins(settings)})
        return
    names = [str(path) for path in paths]
    rows = [
        (name, *("" if value is None else str(value) for value in each)) for name, each in settings.items()
    ]
    rows += [(name, *(_metric(run, name, task) for run in opened)) for name in _metrics(opened)]
    rows.append(("time", *(format_seconds(run.record.seconds) for run in opened)))
    rows.append((f"validation {task.metric}", *(spark(_validated(run, task)) for run in opened)))
    rows.append(("training loss", *(spark([row["loss"] for row in run.history]) for run in opened)))
    print_table(("", *names), rows)


@runs.command()
@click.argument("run", type=RUN)
@click.option("-o", "--output", type=RUN, required=True, metavar="FILE", help="The new page: report.html.")
@device_option
@click.pass_context
def report(ctx: click.Context, run: Path, output: Path, device: str) -> None:
    """Write all of RUN as one page that opens offline: results, curves, mistakes, costs, findings."""
    Run.open(run).check_finished()  # what is wrong is told before torch is imported
    if output.exists():
        raise RunError(f"{str(output)!r} exists already; choose another -o")
    from zoo import api
    from zoo.report import write_report

    write_report(run, output, device=api.pick_device(device))
    if not ctx.find_root().obj.get("quiet"):
        click.echo(f"{output}: the report", err=True)


@runs.command()
@click.argument("paths", nargs=-1, required=True, type=RUN, metavar="RUN...")
@click.option("--yes", is_flag=True, help="Do not ask.")
def remove(paths: tuple[Path, ...], yes: bool) -> None:
    """Delete run folders, with their weights."""
    opened = [Run.open(path) for path in paths]
    if not yes:
        size = sum(size_of(run.path) for run in opened)
        told = "\n".join(map(str, opened))
        click.confirm(f"{told}\ndelete {len(opened)}, {format_bytes(size)}?", abort=True, err=True)
    for path in paths:
        click.echo(f"{path}: removed, {format_bytes(remove_run(path))}")


def _task(run: Run) -> TaskSpec:
    return installed().task(run.record.problem.task)


def _document(run: Run) -> dict[str, Any]:
    return {"run": str(run.path), **run.document()}


def _row(run: Run) -> tuple[str, ...]:
    record, task = run.record, _task(run)
    samples = f"{record.problem.samples:,}" if record.problem.samples else ""
    reached = f"{task.metric} {_metric(run, task.metric, task)}" if record.metrics else ""
    data = str(record.data.get("name", record.source))
    time = format_seconds(record.seconds)
    return (str(run.path), record.model, data, samples, record.state, f"{record.steps:,}", time, reached)


def _rank(run: Run) -> tuple[str, float]:
    """The worst first, among those of one task; those without results before them."""
    task = _task(run)
    value = run.metrics.get(task.metric)
    if value is None:
        return task.name, float("-inf")
    return task.name, value if task.maximize else -value


def _metrics(opened: list[Run]) -> list[str]:
    return list(dict.fromkeys(name for run in opened for name in run.metrics))


def _metric(run: Run, name: str, task: TaskSpec) -> str:
    value = run.metrics.get(name)
    return "" if value is None else format_metric(value, unit_of(name, task))


def _validated(run: Run, task: TaskSpec) -> list[float]:
    return [row["validation"][task.metric] for row in run.history]


def _curves(run: Run, task: TaskSpec) -> list[tuple[str, str]]:
    """Two lines, each from the first value to the last."""
    values = {"training loss": [row["loss"] for row in run.history], task.metric: _validated(run, task)}
    return [(name, f"{each[0]:.4g} {spark(each)} {each[-1]:.4g}") for name, each in values.items() if each]


def _draw(opened: list[Run], task: TaskSpec, path: Path) -> None:
    from zoo.curves import draw_together  # slow to import

    with told_of_new(path, another="file", error=RunError):
        write_new(path, draw_together({str(run.path): run.history for run in opened}, task))
    click.echo(f"{path}: the curves", err=True)
