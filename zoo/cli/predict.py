"""`zoo predict`: what a model says to files, texts or series."""

from __future__ import annotations

import sys
from typing import Any

import click
import msgspec

from zoo.cli.output import device_option, json_option


@click.command()
@click.argument("model")
@click.argument("items", nargs=-1, required=True)
@click.option("--top", type=click.IntRange(min=1), help="How many classes to show.")
@click.option("--length", type=click.IntRange(min=1), help="How many tokens to write.")
@click.option("--temperature", type=click.FloatRange(min=0), help="0 writes the likeliest, more is bolder.")
@click.option("--seed", type=click.IntRange(min=0), help="For the same text again.")
@device_option
@json_option
@click.pass_context
def predict(
    ctx: click.Context, /, model: str, items: tuple[str, ...], device: str, as_json: bool, **options: Any
) -> None:
    """Ask MODEL about each of ITEMS: image files, texts, or series; '-' reads lines from standard input.

    With --json, one record a line.
    """
    from zoo import api

    asked = [line for item in items for line in (sys.stdin.read().splitlines() if item == "-" else [item])]
    given = {name: value for name, value in options.items() if value is not None}
    names = iter(asked)

    def report(records: list[dict[str, Any]]) -> None:
        for record in records:
            item = next(names)
            if as_json:
                click.echo(msgspec.json.encode({"item": item, **record}).decode())
            else:
                click.echo(_line(item, record, alone=len(asked) == 1))

    def warn(line: str) -> None:
        if not ctx.find_root().obj.get("quiet"):
            click.echo(f"data: {line}", err=True)

    api.predict(model, asked, device=api.pick_device(device), report=report, warn=warn, **given)


def _line(item: str, record: dict[str, Any], *, alone: bool) -> str:
    if "label" in record:
        others = "  ".join(f"{name} {share:.1%}" for name, share in list(record["top"].items())[1:])
        return f"{item}: {record['label']} ({record['probability']:.1%})" + (f"   {others}" if others else "")
    if "forecast" in record:
        values = "\n".join(" ".join(f"{value:.5g}" for value in row) for row in record["forecast"])
        return values if alone else f"{item}:\n{values}"
    if "prompt" in record:
        return f"{record['prompt']}{record['text']}"
    return str(record["text"]) if alone else f"{item}: {record['text']}"
