"""`zoo profile`: what models cost, traced; for plugin authors."""

from __future__ import annotations

import importlib
from pathlib import Path

import click
import msgspec

from zoo.cli.output import print_table, progress_console
from zoo.errors import SpecError
from zoo.paths import write_whole
from zoo.registry import installed
from zoo.specs import Facts, to_builtins
from zoo.units import format_bytes, format_count


@click.command()
@click.argument("pattern")
@click.option("--write", is_flag=True, help="Write facts.json into the package of the models' plugin.")
@click.pass_context
def profile(ctx: click.Context, pattern: str, write: bool) -> None:
    """Trace the models that PATTERN matches, such as 'cnn/*', at their reference problems.

    Smaller and larger ones are traced as well, and stated where their costs do not follow from the
    reference's. A recurrent model that is unrolled step by step takes minutes.
    """
    from zoo.build import trace_facts

    registry = installed()
    models = registry.list_models(pattern)
    if not models:
        raise SpecError("profile", [f"no model matches {pattern!r}; see 'zoo list'"])
    rows, found = [], {}
    console = progress_console(ctx)
    for number, model in enumerate(models, start=1):
        console.print(f"tracing {model.name}, {number} of {len(models)}")
        facts = found[model.name] = trace_facts(registry, model)
        kept = ", ".join(f"{format_bytes(size)} {name}" for name, size in facts.activation_bytes.items())
        rows.append((model.name, format_count(facts.parameters), format_count(facts.macs), kept))
    columns = ("model", "parameters", "MACs", "kept for backward, a sample")
    print_table(columns, rows, right=("parameters", "MACs"))
    if write:
        for name in sorted({model.plugin.module_name for model in models}):
            own = {m.spec.name: found[m.name] for m in models if m.plugin.module_name == name}
            click.echo(_write(name, own))


def _write(package: str, facts: dict[str, Facts]) -> str:
    """Merges the facts into the package's `facts.json`."""
    path = Path(str(importlib.import_module(package).__file__)).with_name("facts.json")
    before = msgspec.json.decode(path.read_bytes()) if path.exists() else {}
    merged = dict(sorted({**before, **{name: to_builtins(fact) for name, fact in facts.items()}}.items()))
    write_whole(path, msgspec.json.format(msgspec.json.encode(merged), indent=1) + b"\n")
    return f"written: {path}"
