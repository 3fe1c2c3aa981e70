"""The problems that a model is tried at: its reference, a smaller one and a larger one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from zoo.specs import (
    Classes,
    ImageInput,
    Input,
    Output,
    Problem,
    SeriesInput,
    SeriesOutput,
    TokenInput,
    TokenOutput,
    Vector,
)

SIDES = (8, 12, 16, 20, 28, 32, 48, 64, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448)  # pixels
LENGTHS = (8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 512)  # tokens, time steps
CLASSES, TOKENS, STEPS = 3, 17, 6  # of the smaller problem's output
MORE_CLASSES, MORE_TOKENS = 3, 40  # of the larger one's


@dataclass(frozen=True)
class Sizes:
    """Three problems of one task."""

    reference: Problem
    smaller: Problem
    larger: Problem

    def __iter__(self) -> Iterator[Problem]:
        yield from (self.reference, self.smaller, self.larger)


def smaller(reference: Problem) -> list[Problem]:
    """Smaller problems, the smallest first; the last has an input of the reference's size.

    All have few classes or a small vocabulary, which every model takes.
    """
    return [
        _fitted(reference, found, classes=CLASSES, vocabulary=TOKENS, steps=STEPS)
        for found in _smaller_inputs(reference.input)
    ]


def larger(reference: Problem) -> list[Problem]:
    """Larger problems, those with most to do first; the last has an input of the reference's size.

    All have more classes, a larger vocabulary or a longer horizon, which every model takes.
    """
    size = reference.output
    return [
        _fitted(
            reference,
            found,
            classes=MORE_CLASSES + (size.count if isinstance(size, Classes) else 0),
            vocabulary=MORE_TOKENS + max(getattr(part, "vocab_size", 0) for part in (found, size)),
            steps=2 * getattr(size, "length", 1),
        )
        for found in _larger_inputs(reference.input)
    ]


def describe(problem: Problem) -> str:
    """A problem in a few words: `image-classification of 1 x 8 x 8 pixels to 10 classes`."""
    match problem.input:
        case ImageInput(channels=channels, height=height, width=width):
            given = f"{channels} x {height} x {width} pixels"
        case SeriesInput(channels=channels, length=length):
            given = f"{length} steps of {channels} channels"
        case TokenInput(vocab_size=vocabulary, length=length):
            given = f"{length} of {vocabulary} tokens"
    match problem.output:
        case Classes(count=count):
            wanted = f"{count} classes"
        case SeriesOutput(length=length):
            wanted = f"{length} steps"
        case TokenOutput(vocab_size=vocabulary, length=length):
            wanted = f"{length} of {vocabulary} tokens"
        case Vector(size=size):
            wanted = f"a vector of {size}"
    return f"{problem.task} from {given} to {wanted}"


def _smaller_inputs(given: Input) -> list[Input]:
    if isinstance(given, ImageInput):
        least = min(given.height, given.width)
        sides = [side for side in SIDES if side < least] or [max(1, least // 2)]
        return [*(given.replace(height=side, width=side) for side in sides), given]
    lengths = [length for length in LENGTHS if length < given.length]
    return [*(given.replace(length=length) for length in lengths), given]


def _larger_inputs(given: Input) -> list[Input]:
    if isinstance(given, ImageInput):
        height, width = given.height, given.width
        channels = 1 if given.channels == 3 else 3
        shapes = [(channels, 2 * height, width), (channels, 2 * height, 2 * width), (channels, height, width)]
        return [*(ImageInput(channels=c, height=h, width=w) for c, h, w in shapes), given]
    if isinstance(given, SeriesInput):
        longer = given.replace(length=2 * given.length)
        return [longer.replace(channels=given.channels + 1), longer, given]
    return [given.replace(length=2 * given.length), given]


def _fitted(reference: Problem, given: Input, *, classes: int, vocabulary: int, steps: int) -> Problem:
    """The reference with another input; the output follows it in what they had in common."""
    before, output = reference.input, reference.output
    wanted: Output
    match output:
        case Classes():
            wanted = Classes(count=classes)
        case SeriesOutput():
            same = isinstance(before, SeriesInput) and before.channels == output.channels
            channels = given.channels if same and isinstance(given, SeriesInput) else output.channels
            wanted = SeriesOutput(channels=channels, length=steps)
        case TokenOutput():
            same = isinstance(before, TokenInput) and before.length == output.length
            length = given.length if same and isinstance(given, TokenInput) else steps
            other = isinstance(before, TokenInput) and before.vocab_size != output.vocab_size
            wanted = TokenOutput(vocab_size=vocabulary + other, length=length)
        case Vector():
            wanted = output
    if isinstance(given, TokenInput):
        given = given.replace(vocab_size=vocabulary)
    return reference.replace(input=given, output=wanted, samples=None)
