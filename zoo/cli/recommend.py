"""`zoo recommend`: which model to take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from zoo.cli.output import json_option, print_json, print_lines, print_table
from zoo.errors import SpecError
from zoo.registry import installed
from zoo.specs import Budget, Problem, convert
from zoo.units import parse_bytes, parse_count, parse_seconds

if TYPE_CHECKING:
    from zoo.data.dataset import Dataset

DESCRIBED = {
    "samples": "samples",
    "classes": "classes",
    "input": "size",
}  # options for data that is not there
BYTES = 259  # tokens of byte-level text: padding, 256 bytes, begin, end


@click.command()
@click.option("--data", metavar="DATA", help="A data set's name, a file or a folder.")
@click.option("--task", help="The kind of problem, where there is no data or it could be for several.")
@click.option("--columns", multiple=True, metavar="ROLE=COLUMN,...", help="Such as text=comment,label=stars.")
@click.option("--samples", metavar="N", help="How many samples there are to train on, such as 5k.")
@click.option("--classes", type=click.IntRange(min=1), help="How many classes there are to tell apart.")
@click.option(
    "--input", "size", metavar="SIZE", help="CxHxW for images, LENGTH for text, LENGTHxCHANNELS for series."
)
@click.option("--horizon", type=click.IntRange(min=1), help="How many steps, or tokens, are to come out.")
@click.option(
    "--device", default="auto", show_default=True, help="auto, cpu, NAME or COUNTxNAME: zoo devices."
)
@click.option("--memory", metavar="SIZE", help="At most so much memory on each device, such as 8GB.")
@click.option("--time-budget", metavar="TIME", help="At most so much time, such as 30m.")
@click.option("--max-params", metavar="N", help="At most so many parameters, such as 25M.")
@click.option("--license", "licenses", multiple=True, help="Only models and weights under this licence.")
@click.option("--commercial", is_flag=True, help="Only those that may be used commercially.")
@click.option(
    "--objective",
    type=click.Choice(["balanced", "accuracy", "speed", "size"]),
    default="balanced",
    show_default=True,
)
@click.option(
    "--pretrained/--scratch", default=None, help="Only with weights to start from, or only without."
)
@click.option("--offline", is_flag=True, help="Only weights that are on this machine.")
@click.option("--top", type=click.IntRange(min=1), default=3, show_default=True)
@json_option
def recommend(data: str | None, as_json: bool, top: int, objective: str, device: str, **given: Any) -> None:
    """Recommend models for DATA, or for a problem that you describe: their cost and expected score."""
    from zoo import api
    from zoo.cli.data import read_data

    registry = installed()
    problem = None
    if not data and given["task"]:
        registry.task(given["task"])
        problem = _describe(given)
    elif data:
        told = [f"--{option}" for option, name in DESCRIBED.items() if given[name] is not None]
        if told:
            raise click.UsageError(
                f"{' and '.join(told)} would describe other data than --data; leave them out"
            )
    else:
        raise click.UsageError("say what for: --data DATA, or --task TASK --samples N --input SIZE")
    budget = Budget(
        memory_bytes=parse_bytes(given["memory"]) if given["memory"] else None,
        seconds=parse_seconds(given["time_budget"]) if given["time_budget"] else None,
        parameters=parse_count(given["max_params"]) if given["max_params"] else None,
        licenses=given["licenses"],
        commercial=given["commercial"],
    )
    source: str | Dataset | None = data or None
    reading = {name: given[name] for name in ("columns", "task", "horizon") if given[name]}
    if data and reading:
        source = read_data(data, **reading)
    answer = api.recommend(
        problem,
        data=source,
        device=device,
        budget=budget,
        objective=objective,
        top=top,
        pretrained=given["pretrained"],
        offline=given["offline"],
    )
    if as_json:
        print_json(answer.as_json())
        return
    from zoo.recommender.render import head_lines, table, tail_lines

    print_lines(head_lines(answer))
    if answer.recommendations:
        print_table(*table(answer), right=("#",))
    print_lines(tail_lines(answer))


def _describe(given: dict[str, Any]) -> Problem:
    """The problem that the options describe; every fault at once."""
    task, samples = given["task"], given["samples"]
    sizes = _sizes(given["size"])
    fields: dict[str, Any] = {"task": task, "samples": parse_count(samples) if samples else None}
    if task.startswith("image"):
        channels, height, width = _exactly(sizes, 3, "CxHxW, such as 3x224x224")
        fields["input"] = {"kind": "image", "channels": channels, "height": height, "width": width}
    elif task.startswith("series") or task == "forecasting":
        sizes = sizes if len(sizes) != 1 else [*sizes, 1]
        length, channels = _exactly(sizes, 2, "LENGTHxCHANNELS, such as 128x1")
        fields["input"] = {"kind": "series", "channels": channels, "length": length}
    else:
        (length,) = _exactly(sizes, 1, "LENGTH in tokens, such as 256")
        fields["input"] = {"kind": "tokens", "vocab_size": BYTES, "length": length}
    if task.endswith("classification"):
        if given["classes"] is None:
            raise SpecError("recommend", ["--classes: how many classes are there to tell apart?"])
        fields["output"] = {"kind": "classes", "count": given["classes"]}
    elif task == "forecasting":
        if given["horizon"] is None:
            raise SpecError("recommend", ["--horizon: how many steps are to be forecast?"])
        fields["output"] = {"kind": "series", "channels": sizes[1], "length": given["horizon"]}
    else:
        length = given["horizon"] or fields["input"]["length"]
        fields["output"] = {"kind": "tokens", "vocab_size": BYTES, "length": length}
    return convert(fields, Problem, where="problem")


def _sizes(text: str | None) -> list[int]:
    if not text:
        return []
    try:
        return [int(part) for part in text.lower().split("x")]
    except ValueError:
        raise SpecError("recommend", [f"--input {text!r} is not a size such as 3x224x224"]) from None


def _exactly(sizes: list[int], count: int, expected: str) -> list[int]:
    if len(sizes) != count:
        given = "x".join(map(str, sizes)) or "nothing"
        raise SpecError("recommend", [f"--input: expected {expected}; given: {given}"])
    return sizes
