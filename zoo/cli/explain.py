"""`zoo explain`: what a model looked at."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from zoo.cli.output import device_option, json_option, print_json

if TYPE_CHECKING:
    from zoo.explanation import Explanation

METHODS = ("integrated-gradients", "grad-cam", "occlusion", "attention-rollout")
WORDS = 5  # that are listed


@click.command()
@click.argument("model")
@click.argument("item")
@click.option("--method", type=click.Choice(METHODS), default=METHODS[0], show_default=True)
@click.option("--target", help="A class, or a step of a forecast.  [default: what the model answers]")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="The new picture: .png; for texts .html or .svg.  [default: explanation.png; texts are printed]",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the sanity check.")
@device_option
@json_option
@click.pass_context
def explain(
    ctx: click.Context,
    /,
    model: str,
    item: str,
    method: str,
    target: str | None,
    output: Path | None,
    seed: int,
    device: str,
    as_json: bool,
) -> None:
    """Show which parts of ITEM, an image file, a text or a series, speak for what MODEL answers.

    Red speaks for the answer, blue against it. The same is done with shuffled weights: an explanation that
    hardly changes then says little about what the model has learnt.
    """
    from zoo import api
    from zoo.explanation import explain as ask

    found = ask(model, item, method=method, target=target, seed=seed, device=api.pick_device(device))
    if output is None and not found.pieces and not as_json:
        output = Path("explanation.png")
    if output is not None:
        found.save(output)
    if found.suspicious and not ctx.find_root().obj.get("quiet"):
        click.echo(
            f"explain: shuffled weights give nearly the same (rank correlation {found.likeness:.2f}), so "
            "this shows the input rather than the model; try another --method",
            err=True,
        )
    if as_json:
        print_json({**found.as_json(), "item": item, "output": str(output) if output else None})
    else:
        _tell(found, output)


def _tell(found: Explanation, output: Path | None) -> None:
    click.echo(f"{found.model} answers {found.answer}")
    if found.pieces:
        from rich.console import Console

        from zoo.explanation.pictures import highlighted
        from zoo.explanation.tokens import words_of

        Console(highlight=False, markup=False, soft_wrap=True).print(highlighted(found.pieces))
        words = sorted(words_of(found.pieces), key=lambda word: -abs(word.relevance))[:WORDS]
        click.echo("most: " + ", ".join(f"{word.text} {word.relevance:+.2f}" for word in words))
    alike = f"with shuffled weights: rank correlation {found.likeness:.2f}"
    click.echo(f"{found.method} of {found.asked}; {alike}")
    if output is not None:
        click.echo(f"written: {output}")
