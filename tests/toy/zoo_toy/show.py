"""What a dense layer looks for: its weights for one class, as a picture."""

import click

import zoo

CLEAR = 0.1  # of a weight that speaks for or against a class


@click.command("toy-show")
@click.argument("digit", type=click.IntRange(0, 9))
def show(digit: int) -> None:
    """Show which pixels speak for DIGIT (`#`) and which against it (`.`)."""
    weights = zoo.load("toy/linear.digits").head.weight[digit].reshape(8, 8)
    for row in weights.tolist():
        click.echo("".join("#" if pixel > CLEAR else "." if pixel < -CLEAR else " " for pixel in row))
