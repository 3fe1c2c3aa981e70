"""`zoo evaluate`: how good a model is on data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from zoo.cli.data import data_options, read_data, tell_reading
from zoo.cli.output import device_option, json_option, print_json, print_table
from zoo.errors import ZooError
from zoo.outcome import unit_of
from zoo.units import format_metric

if TYPE_CHECKING:
    from zoo.comparison import Comparison
    from zoo.evaluation import Evaluation, Metric
    from zoo.judging.classes import ClassReport
    from zoo.specs import TaskSpec

CONFUSIONS = 10  # that are told in words; --json has all
SHOWN = 60  # characters of a text
WORST = 10  # samples that --json lists unless another number is asked for


@click.command()
@click.argument("model")
@click.option("--data", metavar="DATA", help="A data set's name, a file or a folder; default: the run's own.")
@click.option(
    "--split", default="test", show_default=True, help="The split to judge on; 'all' where there are none."
)
@click.option("--compare", "others", multiple=True, metavar="MODEL", help="Another one on the same samples.")
@click.option("--per-class", is_flag=True, help="Show precision, recall and F1 of each class.")
@click.option("--confusion", is_flag=True, help="Show which classes are mistaken for which.")
@click.option("--worst", type=click.IntRange(min=1), metavar="N", help="List the N worst samples.")
@data_options
@device_option
@json_option
@click.pass_context
def evaluate(
    ctx: click.Context,
    /,
    model: str,
    data: str | None,
    split: str,
    device: str,
    as_json: bool,
    others: tuple[str, ...],
    per_class: bool,
    confusion: bool,
    worst: int | None,
    **reading: Any,
) -> None:
    """Judge MODEL, a name with a tag or a run folder, on DATA."""
    from zoo import api
    from zoo.registry import installed

    if data is None and any(reading.values()):
        raise click.UsageError("a run's own data is read as it was in training; say which other: --data DATA")
    dataset = read_data(data, judge=split, **reading) if data else api.data_of(model)
    if data:
        tell_reading(ctx, dataset)
    listed = worst or (WORST if as_json else 0)
    place = api.pick_device(device)
    found, compared = api.compare(model, others, dataset, split=split, device=place, worst=listed)
    if not ctx.find_root().obj.get("quiet"):
        for note in found.notes:
            click.echo(f"data: {note}", err=True)
    if as_json:
        more = {"comparisons": [each.as_json() for each in compared]} if compared else {}
        print_json(found.as_json() | more)
        return
    if found.classes is None and (per_class or confusion):
        flag = "--per-class" if per_class else "--confusion"
        raise ZooError(f"{found.model} does {found.task}, which has no classes; leave out {flag}")
    task = installed().task(found.task)
    _tell_metrics(found, compared, task)
    if found.classes and per_class:
        _tell_classes(found.classes)
    if found.classes and confusion:
        _tell_confusions(found.classes)
    if worst:
        _tell_worst(found)
    if not (compared or per_class or confusion or worst):
        flags = ("--per-class", "--confusion") if found.classes else ()
        click.echo(f"more: {', '.join((*flags, '--worst N', '--compare MODEL'))}; all of it: --json")


def _tell_metrics(found: Evaluation, compared: list[Comparison], task: TaskSpec) -> None:
    """Each metric with its interval, of every model, beside the trivial predictor's."""
    others = [each.evaluation for each in compared]
    named = ("metric, 80% interval", found.model, *(other.model for other in others))
    columns = (*(named if others else ("metric", "value", "80% interval")), found.baseline.name)
    rows = []
    for name, metric in found.metrics.items():
        unit, trivial = unit_of(name, task), found.baseline.metrics.get(name)
        cells = [format_metric(metric.value, unit), _interval(metric, unit)]
        if others:
            every = (metric, *(other.metrics[name] for other in others))
            cells = [f"{format_metric(each.value, unit)} {_interval(each, unit)}" for each in every]
        rows.append((name, *cells, format_metric(trivial, unit) if trivial is not None else ""))
    print_table(columns, rows, right=("value",))
    click.echo(f"{found.model} on {found.samples:,} samples of {found.data} ({found.split})")
    if found.classes and found.classes.calibration:
        told = found.classes.calibration
        click.echo(
            f"calibration: sure by {told.confidence:.1%}, right in {told.accuracy:.1%}; "
            f"expected calibration error {told.error:.1%}"
        )
    if found.steps:
        chosen = sorted({0, len(found.steps) // 2, len(found.steps) - 1})
        errors = (f"step {found.steps[row].step}: {found.steps[row].mase:.4g}" for row in chosen)
        click.echo(f"mase by step: {', '.join(errors)}")
    for each in compared:
        click.echo(f"{each} ({each.test}; 95% interval)")


def _interval(metric: Metric, unit: str) -> str:
    return f"[{format_metric(metric.low, unit)}, {format_metric(metric.high, unit)}]"


def _tell_classes(found: ClassReport) -> None:
    rows = [
        (row.label, f"{row.precision:.1%}", f"{row.recall:.1%}", f"{row.f1:.1%}", f"{row.support:,}")
        for row in found.scores
    ]
    numbers = ("precision", "recall", "F1", "samples")
    click.echo()
    print_table(("class", *numbers), rows, right=numbers)


def _tell_confusions(found: ClassReport) -> None:
    pairs = found.confusions
    click.echo()
    for pair in pairs[:CONFUSIONS]:
        click.echo(f"{pair.true} taken for {pair.answer}: {pair.count:,} ({pair.share:.1%} of {pair.true})")
    if len(pairs) > CONFUSIONS:
        click.echo(f"and {len(pairs) - CONFUSIONS:,} more kinds of mistakes; --json has all")
    if not pairs:
        click.echo("no class was taken for another")


def _tell_worst(found: Evaluation) -> None:
    names = {"where": "from", "text": "text", "label": "label", "answer": "answer"}
    kept = [name for name in names if any(getattr(sample, name) for sample in found.worst)]
    rows = [
        (str(each.sample), *(_short(getattr(each, name)) for name in kept), f"{each.loss:.4g}")
        for each in found.worst
    ]
    click.echo()
    columns = ("sample", *(names[name] for name in kept), found.loss)
    print_table(columns, rows, right=("sample", found.loss))


def _short(text: str) -> str:
    """The beginning of a text, in one line."""
    line = " ".join(text.split())
    return line if len(line) <= SHOWN else f"{line[: SHOWN - 3]}..."
