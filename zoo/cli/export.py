"""`zoo export`: a model for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from zoo.cli.output import json_option, print_json, print_table
from zoo.units import format_bytes, format_metric

if TYPE_CHECKING:
    from zoo.exporting import Export, Measured

FORMATS = ("onnx", "torch", "safetensors", "timm", "huggingface")
PRECISIONS = ("fp32", "bf16", "int8")


@click.command()
@click.argument("model")
@click.option("--format", type=click.Choice(FORMATS), default="onnx", show_default=True)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="The new file or folder.  [default: the model's name]",
)
@click.option(
    "--precision",
    type=click.Choice(PRECISIONS),
    default="fp32",
    show_default=True,
    help="Of the weights; of a lower one, score, size and speed before and after are shown.",
)
@click.option("--data", metavar="DATA", help="What to check it on; default: what it was trained on.")
@json_option
def export(
    model: str, format: str, output: Path | None, precision: str, data: str | None, as_json: bool
) -> None:
    """Write MODEL, a name with a tag or a run folder, as a file for other programs, and check the file.

    onnx is for onnxruntime and its like, torch for torch.export.load, both with batches of any size;
    safetensors are the weights alone, timm a folder that timm loads, huggingface one for from_pretrained.
    Any of them can be in bf16, onnx and torch also in int8.
    """
    from zoo.exporting import export as write

    done = write(model, output, format=format, precision=precision, data=data)
    if as_json:
        print_json(done.as_json())
        return
    lower = f" in {done.precision}" if done.before else ""
    click.echo(f"{done.model} as {done.format}{lower}: {done.path} ({format_bytes(done.bytes)})")
    alike = "almost as" if done.before else "as"
    tolerance = f" (tolerance {done.tolerance:g})" if done.tolerance else ""
    click.echo(
        f"read by {done.reader}, it answers {done.samples} samples of {done.data} {alike} the model does: "
        f"differs by {done.difference:.1e} at most{tolerance}, in batches of "
        f"{' and '.join(map(str, done.batches))}"
    )
    if done.before and done.after:
        _tell_measured(done, done.before, done.after)


def _tell_measured(done: Export, before: Measured, after: Measured) -> None:
    """Size, speed and score of the file in fp32 and of the one that was written."""
    both = (before, after)
    rows = [("size", *(format_bytes(each.bytes) for each in both))]
    rows.append((f"a batch of {done.samples}", *(f"{each.milliseconds:.3g} ms" for each in both)))
    if before.value is not None and after.value is not None:
        values = (format_metric(value, before.unit) for value in (before.value, after.value))
        rows.append((f"{before.metric}, {before.scored:,} samples", *values))
    print_table(("", "fp32", done.precision), rows, right=("fp32", done.precision))
