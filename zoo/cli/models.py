"""`zoo list` and `zoo info`: what is installed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import click

from zoo.cli.output import json_option, print_json, print_table, weights_option
from zoo.columns import select, takes_part, top1
from zoo.errors import ZooError
from zoo.listing import as_record
from zoo.registry import Model, installed
from zoo.specs import ImageInput, to_builtins
from zoo.units import format_bytes, format_count, format_metric, parse_count

MANY = 50  # models of one plugin that are shown one by one
COLUMNS = ("model", "task", "parameters", "MACs", "top-1", "weights", "summary")
PUBLISHED = COLUMNS.index("top-1")


@click.command("list")
@click.argument("pattern", default="*")
@click.option("--task", help="Only models that do this task.")
@click.option("--family", help="Only this family: cnn, rnn, transformer, hybrid, mlp.")
@click.option("--plugin", help="Only models of this plugin.")
@click.option("--license", help="Only models or weights under this licence, such as apache-2.0.")
@click.option("--commercial", is_flag=True, help="Only models and weights that may be used commercially.")
@weights_option("Only models {} weights.")
@click.option("--max-params", metavar="N", help="Only models of at most so many parameters, such as 5M.")
@click.option(
    "--fits", metavar="SIZE", help="Only what can be trained in so much memory, or on that device: 8GB, 4090."
)
@click.option("--sort", metavar="COLUMN", help="By name, parameters, macs or top1; the best come first.")
@click.option(
    "--pareto", metavar="COLUMNS", help="Only what no other model beats in all of these, as in top1,params."
)
@click.option("--all", "every", is_flag=True, help="Show the models of large plugins one by one too.")
@json_option
def list_models(
    pattern: str,
    max_params: str | None,
    fits: str | None,
    sort: str | None,
    pareto: str | None,
    every: bool,
    as_json: bool,
    **filters: Any,
) -> None:
    """List models. PATTERN is a glob over names, such as 'resnet*', or the name of a group."""
    limit = parse_count(max_params) if max_params else None
    columns = [name.strip() for name in pareto.split(",")] if pareto else []
    found = installed().list_models(pattern, max_parameters=limit, **filters)
    if fits:
        found = _fitting(found, fits)
    models = select(found, sort, columns)
    if unknown := sum(not takes_part(model, columns) for model in found):
        click.echo(f"left out: {unknown:,} models of which {' or '.join(columns)} is not known", err=True)
    if as_json:
        print_json({"schema": 1, "models": [as_record(model) for model in models]})
        return
    counts = Counter(model.plugin.name for model in models)
    one_by_one = every or pattern != "*" or bool(columns)
    folded: set[str] = set() if one_by_one else {name for name, count in counts.items() if count > MANY}
    _print_models(models, folded, by_name=not columns and sort in (None, "name"))
    if folded:
        names = " and ".join(f"'{name}/*'" for name in sorted(folded))
        click.echo(
            f"{len(models):,} models; one by one: zoo list GROUP, zoo list {names}, or --all", err=True
        )


@click.command()
@click.argument("name")
@json_option
def info(name: str, as_json: bool) -> None:
    """Show all that is known of a model, or of one set of its weights."""
    model, weights = installed().model(name)
    if as_json:
        record = to_builtins(weights) if weights else as_record(model)
        print_json({"schema": 1, "weights" if weights else "model": record})
        return
    pairs = _weights_lines(weights) if weights else _model_lines(model)
    width = max(len(key) for key, _ in pairs)
    for key, value in pairs:
        click.echo(f"{click.style(key.ljust(width), bold=True)}  {value}")


def _fitting(models: Sequence[Model], place: str) -> list[Model]:
    """Those that are foreseen to fit; how many cannot be judged is told on stderr."""
    from zoo.recommender.fitting import fitting, place_for

    device, memory = place_for(installed(), place)
    if memory is None:
        raise ZooError(f"--fits {place}: the memory of {device.title} is not known; say a size such as 8GB")
    fit, unknown = fitting(models, device, memory)
    told = f"to train in {format_bytes(memory)} on {device.title}, each at the size its facts hold at"
    left_out = f"; left out: {len(unknown):,} whose cost is not known" if unknown else ""
    click.echo(f"{told}{left_out}", err=True)
    return fit


def _print_models(models: Sequence[Model], folded: set[str], *, by_name: bool) -> None:
    """A row for each model, or for a whole group of a folded plugin, by name or by where its first one is."""
    groups: dict[str, list[Model]] = {}
    for model in models:
        groups.setdefault(_label(model) if model.plugin.name in folded else model.name, []).append(model)
    rows = [
        _row(members[0]) if len(members) == 1 else _group_row(label, members)
        for label, members in groups.items()
    ]
    if by_name:
        rows.sort()
    shown = [place for place in range(len(COLUMNS)) if place != PUBLISHED or any(row[place] for row in rows)]
    print_table(
        [COLUMNS[place] for place in shown],
        [[row[place] for place in shown] for row in rows],
        right=("parameters", "MACs", "top-1"),
    )


def _label(model: Model) -> str:
    """The name of a model's group; of those without one, the family's."""
    group = model.spec.group
    return f"{model.plugin.name}/{group}" if group else f"{model.plugin.name}/* ({model.spec.family})"


def _row(model: Model) -> tuple[str, ...]:
    facts = model.spec.facts
    tags = [weights.tag for weights in model.weights]
    shown = ", ".join(tags[:3]) + (f", {len(tags) - 3} more" if len(tags) > 3 else "")
    return (
        model.name,
        ", ".join(model.spec.tasks),
        format_count(facts.parameters) if facts else "?",
        format_count(facts.macs) if facts else "?",
        _best([model]),
        shown,
        model.spec.summary,
    )


def _group_row(label: str, members: Sequence[Model]) -> tuple[str, ...]:
    """How many there are, from what size to what."""
    facts = [model.spec.facts for model in members if model.spec.facts]
    tasks = dict.fromkeys(task for model in members for task in model.spec.tasks)
    families = dict.fromkeys(model.spec.family for model in members)
    weights = sum(len(model.weights) for model in members)
    return (
        label,
        ", ".join(tasks),
        _span([fact.parameters for fact in facts]),
        _span([fact.macs for fact in facts]),
        _best(members),
        f"{weights:,} sets" if weights else "",
        f"{len(members):,} models, {' and '.join(families)}",
    )


def _best(models: Sequence[Model]) -> str:
    """The best published top-1 among the models; empty where none is."""
    shares = [share for model in models if (share := top1(model)) is not None]
    return format_metric(max(shares), "fraction") if shares else ""


def _span(values: Sequence[int]) -> str:
    if not values:
        return "?"
    least, most = format_count(min(values)), format_count(max(values))
    return least if least == most else f"{least} to {most}"


def _model_lines(model: Model) -> list[tuple[str, str]]:
    spec, facts = model.spec, model.spec.facts
    lines = [
        ("model", model.name),
        ("summary", spec.summary),
        ("family", spec.family),
        ("group", spec.group or ""),
        ("tasks", ", ".join(spec.tasks)),
        ("recommended", "" if spec.recommend else "never: its plugin says that it is no model for use"),
        ("plugin", model.plugin.origin),
        ("license", spec.license),
        ("paper", spec.paper),
    ]
    if facts:
        lines.append(("parameters", f"{facts.parameters:,}"))
        lines.append(("MACs", f"{facts.macs:,} a sample"))
        kept = ", ".join(f"{format_bytes(size)} {name}" for name, size in facts.activation_bytes.items())
        lines.append(("activations", f"{kept} kept a sample for the backward pass"))
    else:
        lines.append(("facts", "not known"))
    if spec.reference:
        lines.append(("facts hold at", f"{spec.reference.input} to {spec.reference.output}"))
        if facts and facts.sizes:
            unit = "pixels" if isinstance(spec.reference.input, ImageInput) else "steps"
            lines.append(("also known at", f"{', '.join(f'{one.size:,}' for one in facts.sizes)} {unit}"))
    lines += [("recipe", f"{task}: {file}") for task, file in spec.recipes.items()]
    lines += [("weights", _weights_line(weights)) for weights in model.weights]
    return [(key, value) for key, value in lines if value]


def _weights_line(weights: Any) -> str:
    metrics = ", ".join(f"{name} {value:.4g}" for name, value in weights.metrics.items())
    size = format_bytes(weights.bytes) if weights.bytes else ""
    about = (metrics, f"on {weights.dataset}" if weights.dataset else "", size, weights.license)
    return f"{weights.tag}  {'  '.join(part for part in about if part)}"


def _weights_lines(weights: Any) -> list[tuple[str, str]]:
    lines = [
        ("weights", weights.name),
        ("data", weights.dataset),
        ("metrics", ", ".join(f"{name} {value:.4g}" for name, value in weights.metrics.items())),
        ("labels", ", ".join(weights.labels[:20]) + (", ..." if len(weights.labels) > 20 else "")),
        ("license", weights.license),
        ("data license", weights.data_license),
        ("size", format_bytes(weights.bytes) if weights.bytes else ""),
        ("sha256", weights.sha256 or ""),
        *(("source", source) for source in weights.sources),
        ("preprocess", str(weights.preprocess or "")),
    ]
    return [(key, value) for key, value in lines if value]
