"""What every builder asks of a problem first."""

from __future__ import annotations

from typing import TypeVar

import zoo

Input = TypeVar("Input", zoo.ImageInput, zoo.TokenInput, zoo.SeriesInput)
Output = TypeVar("Output", zoo.Classes, zoo.SeriesOutput)


def ends(model: str, problem: zoo.Problem, input: type[Input], output: type[Output]) -> tuple[Input, Output]:
    """The problem's input and output, which must be of the kinds that `model` maps to one another.

    Raises `zoo.SpecError` where they are not.
    """
    if isinstance(problem.input, input) and isinstance(problem.output, output):
        return problem.input, problem.output
    given = f"{type(problem.input).__name__} to {type(problem.output).__name__}"
    raise zoo.SpecError(model, [f"maps {input.__name__} to {output.__name__}, not {given}"])


def check_image_size(model: str, image: zoo.ImageInput, smallest: int) -> None:
    """Raises `zoo.SpecError` for an image of which less than `smallest` pixels a side is left."""
    if min(image.height, image.width) < smallest:
        size = f"{image.height} x {image.width}"
        least = f"{smallest} x {smallest}"
        raise zoo.SpecError(model, [f"images of {size} pixels are too small; it takes {least}"])
