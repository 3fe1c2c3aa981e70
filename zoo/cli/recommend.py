"""`zoo recommend`: which model to take."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from zoo.cli.output import json_option, print_json, print_lines, print_table, weights_option
from zoo.errors import SpecError, ZooError
from zoo.registry import installed
from zoo.specs import Budget, Problem, convert
from zoo.units import parse_bytes, parse_count, parse_seconds

if TYPE_CHECKING:
    from zoo.data.dataset import Dataset
    from zoo.recommender import Recommendation
    from zoo.recommender.rank import Question

DESCRIBED = {
    "samples": "samples",
    "tokens": "tokens",
    "classes": "classes",
    "input": "size",
}  # options for data that is not there
READING = ("columns", "task", "horizon")  # options that say how data is to be read
WINDOW = 256  # tokens of a sample of a stream of text, where --input does not say
BYTES = 259  # tokens of byte-level text: padding, 256 bytes, begin, end


@click.command()
@click.option("--data", metavar="DATA", help="A data set's name, a file or a folder.")
@click.option("--task", help="The kind of problem, where there is no data or it could be for several.")
@click.option("--columns", multiple=True, metavar="ROLE=COLUMN,...", help="Such as text=comment,label=stars.")
@click.option("--samples", metavar="N", help="How many samples there are to train on, such as 5k.")
@click.option("--tokens", metavar="N", help="How many tokens of text there are for a language model: 2B.")
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
@click.option("--max-latency", metavar="TIME", help="At most so much time to answer for one sample: 20ms.")
@click.option("--license", "licenses", multiple=True, help="Only models and weights under this licence.")
@click.option("--commercial", is_flag=True, help="Only those that may be used commercially.")
@click.option(
    "--objective",
    type=click.Choice(["balanced", "accuracy", "speed", "size"]),
    default="balanced",
    show_default=True,
)
@weights_option("Only {} weights to start from.")
@click.option("--offline", is_flag=True, help="Only weights that are on this machine.")
@click.option("--top", type=click.IntRange(min=1), default=3, show_default=True)
@click.option("--explain", "name", metavar="MODEL", help="How each number of one model came about.")
@click.option("--probe", metavar="TIME", help="Train the first ones for a while on --data, such as 2m.")
@click.option("--train", "go_on", is_flag=True, help="Train the first one on --data.")
@json_option
@click.pass_context
def recommend(
    ctx: click.Context,
    /,
    data: str | None,
    as_json: bool,
    name: str | None,
    probe: str | None,
    go_on: bool,
    **given: Any,
) -> None:
    """Recommend models for DATA, or for a problem that you describe: their cost and expected score."""
    if (probe or go_on) and not data:
        raise click.UsageError(f"{'--probe' if probe else '--train'} needs the data itself: --data DATA")
    if name and (probe or go_on):
        raise click.UsageError("--explain is about what is known; leave out --probe and --train")
    if go_on and as_json:
        raise click.UsageError("--train tells of a training; for JSON of it: zoo train --json")
    question = _question(data, given)
    if name:
        from zoo.recommender.account import explain

        account = explain(question, name)
        print_json(account.as_json()) if as_json else print_lines(account.lines)
        return
    answer, document = question.answer(), {}
    if probe:
        from zoo.probing import probe as try_out

        dataset = _dataset(str(data), given)
        found = try_out(
            lambda: _question(dataset, given), dataset, parse_seconds(probe), tell=partial(_tell, ctx)
        )
        answer, document = found.answer, found.as_json()
    if as_json:
        print_json(document or answer.as_json())
        return
    _print(answer)
    if go_on:
        _train(ctx, answer, str(data), given)


def _question(data: str | Dataset | None, given: Mapping[str, Any]) -> Question:
    """What the options ask."""
    from zoo import api

    problem = None
    if data is None and given["task"]:
        installed().task(given["task"])
        problem = _describe(given)
    elif data is not None:
        told = [f"--{option}" for option, name in DESCRIBED.items() if given[name] is not None]
        if told:
            raise click.UsageError(
                f"{' and '.join(told)} would describe other data than --data; leave them out"
            )
    else:
        raise click.UsageError("say what for: --data DATA, or --task TASK --samples N --input SIZE")
    if isinstance(data, str) and any(given[option] for option in READING):
        data = _dataset(data, given)
    budget = Budget(
        memory_bytes=parse_bytes(given["memory"]) if given["memory"] else None,
        seconds=parse_seconds(given["time_budget"]) if given["time_budget"] else None,
        parameters=parse_count(given["max_params"]) if given["max_params"] else None,
        latency_seconds=parse_seconds(given["max_latency"]) if given["max_latency"] else None,
        licenses=given["licenses"],
        commercial=given["commercial"],
    )
    options = {option: given[option] for option in ("device", "objective", "top", "pretrained", "offline")}
    return api.question(problem, data=data, budget=budget, **options)


def _dataset(data: str, given: Mapping[str, Any]) -> Dataset:
    """The data itself, read as the options say."""
    from zoo.cli.data import read_data

    return read_data(data, **{option: given[option] for option in READING if given[option]})


def _print(answer: Recommendation) -> None:
    from zoo.recommender.render import head_lines, table, tail_lines

    print_lines(head_lines(answer))
    if answer.recommendations:
        print_table(*table(answer), right=("#",))
    print_lines(tail_lines(answer))


def _tell(ctx: click.Context, line: str) -> None:
    if not ctx.find_root().obj.get("quiet"):
        click.echo(f"probe: {line}", err=True)


def _train(ctx: click.Context, answer: Recommendation, data: str, given: Mapping[str, Any]) -> None:
    """The first one, trained with what was recommended, told of as `zoo train` does."""
    if not answer.recommendations:
        raise ZooError("--train: nothing was recommended")
    from zoo import api
    from zoo.cli.ending import tell_outcome
    from zoo.cli.output import progress_console
    from zoo.recommender.filter import fitted
    from zoo.training.bar import ProgressBar

    first = answer.recommendations[0]
    bar = ProgressBar(progress_console(ctx))
    run = api.train(first.name, _dataset(data, given), settings=fitted(first.recipe), callbacks=[bar])
    tell_outcome(ctx, run, as_json=False)


def _describe(given: Mapping[str, Any]) -> Problem:
    """The problem that the options describe; every fault at once."""
    task, sizes = given["task"], _sizes(given["size"])
    if given["tokens"] is not None and task != "language-modeling":
        raise SpecError("recommend", [f"--tokens: is for language-modeling, not for {task}; give --samples"])
    if given["tokens"] is not None and not sizes:
        sizes = [WINDOW]
    fields: dict[str, Any] = {"task": task, "samples": _samples(given, sizes)}
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


def _samples(given: Mapping[str, Any], sizes: Sequence[int]) -> int | None:
    """How many there are, where it is said; of a stream of text, its windows."""
    if given["samples"] and given["tokens"]:
        raise SpecError("recommend", ["--samples and --tokens: say the one or the other"])
    if given["samples"]:
        return parse_count(given["samples"])
    return math.ceil(parse_count(given["tokens"]) / max(1, sizes[0])) if given["tokens"] else None


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
