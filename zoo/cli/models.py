"""`zoo list` and `zoo info`: what is installed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from zoo.cli.output import json_option, print_json, print_table
from zoo.registry import Model, installed
from zoo.specs import to_builtins
from zoo.units import format_bytes, format_count, parse_count

MANY = 50  # models of one plugin that are shown one by one


@click.command("list")
@click.argument("pattern", default="*")
@click.option("--task", help="Only models that do this task.")
@click.option("--family", help="Only this family: cnn, rnn, transformer, hybrid, mlp.")
@click.option("--plugin", help="Only models of this plugin.")
@click.option("--license", help="Only models or weights under this licence, such as apache-2.0.")
@click.option("--commercial", is_flag=True, help="Only models and weights that may be used commercially.")
@click.option("--pretrained/--scratch", default=None, help="Only models with, or without, weights.")
@click.option("--max-params", metavar="N", help="Only models of at most so many parameters, such as 5M.")
@click.option("--sort", type=click.Choice(["name", "params", "macs"]), default="name", show_default=True)
@click.option("--all", "every", is_flag=True, help="Show the models of large plugins one by one too.")
@json_option
def list_models(
    pattern: str, max_params: str | None, sort: str, every: bool, as_json: bool, **filters: Any
) -> None:
    """List models. PATTERN is a glob over names, such as 'resnet*'."""
    limit = parse_count(max_params) if max_params else None
    models = installed().list_models(pattern, max_parameters=limit, **filters)
    if sort != "name":
        models.sort(key=lambda model: _size(model, sort))
    if as_json:
        print_json({"schema": 1, "models": [as_record(model) for model in models]})
        return
    counts: dict[str, int] = {}
    for model in models:
        counts[model.plugin.name] = counts.get(model.plugin.name, 0) + 1
    folded = (
        {name for name, count in counts.items() if count > MANY} if not every and pattern == "*" else set()
    )
    rows = [_row(model) for model in models if model.plugin.name not in folded]
    rows += _folded_rows([model for model in models if model.plugin.name in folded])
    print_table(
        ("model", "task", "parameters", "MACs", "weights", "summary"), rows, right=("parameters", "MACs")
    )
    if folded:
        names = " and ".join(f"'{name}/*'" for name in sorted(folded))
        click.echo(f"{len(models):,} models; one by one: zoo list {names}, or --all", err=True)


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


def as_record(model: Model) -> dict[str, Any]:
    """A model as `zoo list --json` has it."""
    spec = model.spec
    facts = spec.facts
    return {
        "name": model.name,
        "family": spec.family,
        "tasks": spec.tasks,
        "parameters": facts.parameters if facts else None,
        "macs": facts.macs if facts else None,
        "license": spec.license,
        "summary": spec.summary,
        "paper": spec.paper,
        "plugin": model.plugin.name,
        "distribution": model.plugin.distribution,
        "facts": to_builtins(facts) if facts else None,
        "reference": to_builtins(spec.reference) if spec.reference else None,
        "weights": [
            {
                "tag": weights.tag,
                "license": weights.license,
                "data_license": weights.data_license,
                "bytes": weights.bytes,
                "metrics": weights.metrics,
                "dataset": weights.dataset,
            }
            for weights in model.weights
        ],
    }


def _size(model: Model, by: str) -> tuple[bool, int]:
    facts = model.spec.facts
    return facts is None, (facts.parameters if by == "params" else facts.macs) if facts else 0


def _row(model: Model) -> tuple[str, ...]:
    facts = model.spec.facts
    tags = [weights.tag for weights in model.weights]
    shown = ", ".join(tags[:3]) + (f", {len(tags) - 3} more" if len(tags) > 3 else "")
    return (
        model.name,
        ", ".join(model.spec.tasks),
        format_count(facts.parameters) if facts else "?",
        format_count(facts.macs) if facts else "?",
        shown,
        model.spec.summary,
    )


def _folded_rows(models: Sequence[Model]) -> list[tuple[str, ...]]:
    """One row for each family of a plugin: how many, from what size to what."""
    groups: dict[tuple[str, str], list[Model]] = {}
    for model in models:
        groups.setdefault((model.plugin.name, model.spec.family), []).append(model)
    rows: list[tuple[str, ...]] = []
    for (plugin, family), members in sorted(groups.items()):
        facts = [model.spec.facts for model in members if model.spec.facts]
        tasks = dict.fromkeys(task for model in members for task in model.spec.tasks)
        weights = sum(len(model.weights) for model in members)
        rows.append(
            (
                f"{plugin}/*",
                ", ".join(tasks),
                _span([fact.parameters for fact in facts]),
                _span([fact.macs for fact in facts]),
                f"{weights:,} sets",
                f"{len(members):,} models of family {family}",
            )
        )
    return rows


def _span(values: Sequence[int]) -> str:
    return f"{format_count(min(values))} to {format_count(max(values))}" if values else "?"


def _model_lines(model: Model) -> list[tuple[str, str]]:
    spec, facts = model.spec, model.spec.facts
    lines = [
        ("model", model.name),
        ("summary", spec.summary),
        ("family", spec.family),
        ("tasks", ", ".join(spec.tasks)),
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
