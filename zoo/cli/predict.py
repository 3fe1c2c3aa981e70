"""`zoo predict`: what a model says to files, texts, series or the rows of a table."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from zoo.cli.output import device_option, json_option, progress_console
from zoo.errors import SpecError, ZooError
from zoo.paths import is_folder

if TYPE_CHECKING:
    from zoo.predictions import Faults, Prediction
    from zoo.specs import Input

SHOWN = 6  # numbers of an embedding


class _Levels(click.ParamType[tuple[float, ...]]):
    """Shares between 0 and 1, parted by commas."""

    name = "levels"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, ...]:
        if isinstance(value, tuple):
            return value
        try:
            levels = tuple(sorted({float(part) for part in str(value).split(",")}))
        except ValueError:
            levels = ()
        if not levels or not all(0 < level < 1 for level in levels):
            raise SpecError("--quantiles", [f"{value!r} are not shares between 0 and 1, such as 0.1,0.5,0.9"])
        return levels


@click.command()
@click.argument("model")
@click.argument("items", nargs=-1)
@click.option(
    "--data", metavar="DATA", help="A table to predict each row of (CSV, TSV, JSONL, Parquet), or a data set."
)
@click.option("--split", help="Of a data set by name.  [default: test]")
@click.option("--columns", multiple=True, metavar="ROLE=COLUMN,...", help="Such as text=review, with --data.")
@click.option("--out", type=click.Path(path_type=Path), help="A new file: .csv, .tsv or .jsonl.")
@click.option("--top", type=click.IntRange(min=1), help="How many classes to show.")
@click.option("--probabilities", "all_classes", is_flag=True, default=None, help="Those of all classes.")
@click.option("--quantiles", "levels", type=_Levels(), metavar="Q,...", help="Of a forecast's distribution.")
@click.option("--length", type=click.IntRange(min=1), help="How many tokens to write.")
@click.option("--temperature", type=click.FloatRange(min=0), help="0 writes the likeliest, more is bolder.")
@click.option("--top-k", type=int, help="Draw from so many of the likeliest tokens.")
@click.option("--top-p", type=float, help="Draw from as few tokens as are together so likely.")
@click.option("--repetition-penalty", type=float, help="Above 1 for less of what is in the text already.")
@click.option("--beams", type=int, help="How many targets of a seq2seq model to follow.")
@click.option("--seed", type=click.IntRange(min=0), help="For the same text again.")
@click.option("--batch-size", type=click.IntRange(min=1), default=64, show_default=True)
@device_option
@json_option
@click.pass_context
def predict(
    ctx: click.Context,
    /,
    model: str,
    items: tuple[str, ...],
    device: str,
    as_json: bool,
    data: str | None,
    split: str | None,
    columns: tuple[str, ...],
    out: Path | None,
    **options: Any,
) -> None:
    """Ask MODEL about each of ITEMS: files, folders of them, texts, or series.

    '-' reads lines from standard input. For a model that reads texts, a .txt file stands for what is in it,
    and a folder is written with a slash. With --json, one record a line. What cannot be read is named and
    passed over, and the exit status is 1 then.
    """
    from zoo import api
    from zoo.data.roles import parse_columns
    from zoo.predictions import Faults

    if bool(items) == bool(data):
        raise click.UsageError("say what to predict: either ITEMS or --data DATA")
    if (columns or split) and not data:
        raise click.UsageError("--columns and --split are for what --data names; give that")
    module = api.loaded(model, api.pick_device(device))
    if options["levels"] and not callable(getattr(module, "quantiles", None)):
        raise ZooError(f"{module.zoo.name} gives no quantiles; leave out --quantiles")
    head, asked = _peeked(_lines(items))
    faults = Faults(lambda line: click.echo(f"zoo: {line}", err=True))
    if out is not None and options["top"] is None:
        options["top"] = 1
    alone = len(head) == 1 and not (head[0] and is_folder(head[0]))
    written = alone and out is None and not as_json and sys.stdout.isatty() and _writes(module)
    if written:
        options["stream"] = lambda text: click.echo(text, nl=False)
    found = api.predictions(
        module,
        asked,
        data=data,
        split=split,
        columns=parse_columns(columns),
        warn=lambda line: None if ctx.find_root().obj.get("quiet") else click.echo(f"data: {line}", err=True),
        **{name: value for name, value in options.items() if value is not None},
    )
    sound = faults.sift(_with_bar(ctx, found, items, module.zoo.problem.input, to_file=out is not None))
    if written:
        for _ in sound:
            click.echo()
    elif out is None:
        _print(sound, as_json, alone=alone)
    else:
        _write(sound, faults, out)
    faults.check()


def _writes(module: Any) -> bool:
    """Whether it goes on with a text, which is shown as it is written."""
    return bool(module.zoo.problem.task == "language-modeling")


def _lines(items: Iterable[str]) -> Iterator[str]:
    """The items, and for '-' the lines of standard input."""
    for item in items:
        if item == "-":
            yield from (line.rstrip("\r\n") for line in sys.stdin)
        else:
            yield item


def _peeked(items: Iterator[str]) -> tuple[list[str], Iterator[str]]:
    """The first two items, and all of them."""
    head = list(itertools.islice(items, 2))
    return head, itertools.chain(head, items)


def _with_bar(
    ctx: click.Context, found: Iterator[Prediction], items: Sequence[str], kind: Input, *, to_file: bool
) -> Iterator[Prediction]:
    """The predictions, with a bar on a terminal on which nothing else is printed."""
    console = progress_console(ctx)
    if not console.is_terminal or not (to_file or not sys.stdout.isatty()):
        return found
    from rich.progress import track

    from zoo.data.items import count_items

    total = count_items(items, kind) if items and "-" not in items else None
    return iter(track(found, "predictions", total=total, console=console, transient=True))


def _print(found: Iterable[Prediction], as_json: bool, *, alone: bool) -> None:
    from zoo.predictions.writing import as_record

    for each in found:
        if as_json:
            click.echo(msgspec.json.encode(as_record(each)).decode())
        else:
            click.echo(_line(each.item.name, each.record or {}, alone=alone))


def _write(found: Iterable[Prediction], faults: Faults, out: Path) -> None:
    from zoo.predictions.writing import writing

    with writing(out) as write:
        for each in found:
            write(each)
        if not faults.sound:
            faults.check()  # a file of nothing is none
    click.echo(f"written: {out}, {faults.sound:,} predictions")


def _line(item: str, record: dict[str, Any], *, alone: bool) -> str:
    if "label" in record:
        shares = record.get("probabilities") or dict(list(record["top"].items())[1:])
        others = "  ".join(f"{name} {share:.1%}" for name, share in shares.items())
        return f"{item}: {record['label']} ({record['probability']:.1%})" + (f"   {others}" if others else "")
    if "forecast" in record:
        values = _steps(record["forecast"], list(record.get("quantiles", {}).values()))
        return values if alone else f"{item}:\n{values}"
    if "embedding" in record:
        numbers = record["embedding"]
        shown = " ".join(f"{number:.4f}" for number in numbers[:SHOWN])
        more = f" ... ({len(numbers)} numbers; all of them: --json)" if len(numbers) > SHOWN else ""
        return f"{item}: {shown}{more}"
    if "prompt" in record:
        return f"{record['prompt']}{record['text']}"
    return str(record["text"]) if alone else f"{item}: {record['text']}"


def _steps(forecast: list[list[float]], quantiles: list[list[list[float]]]) -> str:
    """A line for each step to come, behind each value the outermost quantiles where there are some."""
    rows = [[f"{value:.5g}" for value in row] for row in forecast]
    if quantiles:
        spans = zip(rows, quantiles[0], quantiles[-1], strict=True)
        rows = [
            [f"{value} [{low:.5g}, {high:.5g}]" for value, low, high in zip(*span, strict=True)]
            for span in spans
        ]
    return "\n".join(" ".join(row) for row in rows)
