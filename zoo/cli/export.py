"""`zoo export`: a model for other programs."""

from __future__ import annotations

from pathlib import Path

import click

from zoo.cli.output import json_option, print_json
from zoo.units import format_bytes

FORMATS = ("onnx", "torch", "safetensors", "timm", "huggingface")


@click.command()
@click.argument("model")
@click.option("--format", type=click.Choice(FORMATS), default="onnx", show_default=True)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="The new file or folder.  [default: the model's name]",
)
@click.option("--data", metavar="DATA", help="What to check it on; default: what it was trained on.")
@json_option
def export(model: str, format: str, output: Path | None, data: str | None, as_json: bool) -> None:
    """Write MODEL, a name with a tag or a run folder, as a file for other programs, and check the file.

    onnx is for onnxruntime and its like, torch for torch.export.load, both with batches of any size;
    safetensors are the weights alone, timm a folder that timm loads, huggingface one for from_pretrained.
    """
    from zoo.exporting import export as write

    done = write(model, output, format=format, data=data)
    if as_json:
        print_json(done.as_json())
        return
    click.echo(f"{done.model} as {done.format}: {done.path} ({format_bytes(done.bytes)})")
    click.echo(
        f"read by {done.reader}, it answers {done.samples} samples of {done.data} as the model does: "
        f"differs by {done.difference:.1e} at most (tolerance {done.tolerance:g}), in batches of "
        f"{' and '.join(map(str, done.batches))}"
    )
