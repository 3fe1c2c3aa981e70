"""A model's traced facts, carried over from its reference problem to the user's."""

from __future__ import annotations

import math
from collections.abc import Mapping
from operator import itemgetter

import msgspec

from zoo.specs import (
    Classes,
    Facts,
    ImageInput,
    ModelSpec,
    Output,
    Precision,
    Problem,
    Recipe,
    SeriesOutput,
    SizedFacts,
    TokenInput,
    TokenOutput,
    Vector,
    WeightsSpec,
)

NUMBER_BYTES = {"image": 4, "tokens": 8, "series": 4}  # of one prepared value: fp32 or int64
STREAM = "language-modeling"  # the task in which what is written is what is read, a token later
DOUBT = 0.04, 0.10  # of carrying over at all, and for each factor e between the sizes


class Shape(msgspec.Struct, frozen=True, gc=False):
    """How large a sample is for a model: its channels, and its pixels or steps."""

    kind: str
    channels: int
    size: int


class Load(msgspec.Struct, frozen=True, gc=False):
    """What one sample costs a model at the user's problem, and what comes with it.

    `facts` hold at the model's reference, or where it states costs at further sizes, at one of these or at
    the problem itself; what they say of activations is to be taken `ratio` times.
    `macs` are those of a forward pass at the problem. `data_bytes` are those of one prepared sample,
    `outputs` its number of predicted values. `doubt` is the standard deviation of the logarithm that
    carrying the facts over adds. `even` says that the parameters are spread evenly over the depth,
    as in a transformer. `kind` is that of the input.
    """

    facts: Facts
    ratio: float
    macs: float
    data_bytes: int
    outputs: int
    samples: int | None
    doubt: float
    even: bool
    family: str = ""
    task: str = ""
    name: str = ""
    kind: str = ""
    group: str = ""

    @property
    def parameters(self) -> int:
        """As traced, and carried over to the size; other classes or channels change few of them."""
        return self.facts.parameters

    def activation_bytes(self, precision: str) -> float:
        """What a sample leaves for the backward pass."""
        return self.ratio * _at(self.facts.activation_bytes, precision)

    def largest_bytes(self, precision: str) -> float:
        """A sample's largest tensor."""
        return self.ratio * _at(self.facts.largest_tensor_bytes, precision)


def shape_of(problem: Problem) -> Shape:
    """The shape of a sample; tokens that are written count too, but for those of the very text."""
    given, output = problem.input, problem.output
    kind = type(given)  # what records are is asked a thousand times, and isinstance is slow on them
    if kind is ImageInput:
        return Shape("image", given.channels, given.height * given.width)  # type: ignore[union-attr]
    if kind is TokenInput:
        written = 0 if type(output) is not TokenOutput or problem.task == STREAM else output.length
        return Shape("tokens", 1, given.length + written)  # type: ignore[union-attr]
    return Shape("series", given.channels, given.length)  # type: ignore[union-attr]  # the one that is left


def shape_seen(
    spec: ModelSpec, problem: Problem, recipe: Recipe, weights: WeightsSpec | None = None
) -> Shape:
    """The shape that the model is trained at: the weights' own, else the recipe's, else the data's."""
    if weights is not None and weights.problem is not None:
        return shape_of(weights.problem)
    shape = shape_of(problem)
    if shape.kind == "image":
        side = spec.image_size or recipe.image_size
        return Shape("image", shape.channels, side * side) if side else shape
    if recipe.length is None:
        return shape
    more = recipe.length - problem.input.length  # type: ignore[union-attr]  # images have been dealt with
    return Shape(shape.kind, shape.channels, shape.size + more)


def load_at(spec: ModelSpec, problem: Problem, shape: Shape) -> Load | None:
    """The model's costs for samples of that shape; None where its facts were never traced.

    Multiply-accumulates and activations follow the pixels or steps, attention's share of a
    transformer their square. Where the model states costs at further sizes, they are carried over from
    the two around, or from the one at that end. Channels and classes change the first and last layer
    alone, which is passed over.
    """
    facts, reference = spec.facts, spec.reference
    if facts is None or reference is None:
        return None
    before = shape_of(reference)
    size, distance = before.size, abs(math.log(shape.size / before.size))
    even = spec.family == "transformer"
    squared = even and before.kind != "image"
    if facts.sizes:
        distance = min(distance, *(abs(math.log(shape.size / one.size)) for one in facts.sizes))
        facts, size = _facts_around(facts, size, shape.size, squared)
    return Load(
        facts=facts,
        ratio=shape.size / size,
        macs=_macs_at(shape.size, facts, size, squared),
        data_bytes=NUMBER_BYTES[shape.kind] * shape.channels * shape.size,
        outputs=_outputs(problem.output),
        samples=problem.samples,
        doubt=DOUBT[0] + DOUBT[1] * distance if distance else 0.0,
        even=even,
        family=spec.family,
        task=problem.task,
        name=spec.name,
        kind=shape.kind,
        group=spec.group or "",
    )


def _macs_at(size: int, facts: Facts | SizedFacts, before: int, squared: bool) -> float:
    """The work at a size by the facts of another; `squared` is said of attention over all steps.

    That is what is left of a transformer's work once each parameter has been used once a step. An image's
    steps are its patches, whose number is not known; there, attention is a few per cent.
    """
    ratio = size / before
    attention = float(max(0, facts.macs - before * facts.parameters)) if squared else 0.0
    return (facts.macs - attention) * ratio + attention * ratio * ratio


def _facts_around(facts: Facts, reference: int, size: int, squared: bool) -> tuple[Facts, int]:
    """The facts to carry over to a size from those at the reference and at others, and where they hold.

    Beyond all that are stated, these are the nearest. Between two, costs follow the power of the size that
    agrees with both, which is exact for what stays, grows in proportion or grows by the square.
    """
    stated: list[tuple[int, Facts | SizedFacts]] = [(reference, facts)]
    stated += ((one.size, one) for one in facts.sizes)
    stated.sort(key=itemgetter(0))
    low, first = max((one for one in stated if one[0] <= size), default=stated[0], key=itemgetter(0))
    high, last = min((one for one in stated if one[0] >= size), default=stated[-1], key=itemgetter(0))
    place, share = (size, math.log(size / low) / math.log(high / low)) if low < high else (low, 0.0)

    def mean(one: float, other: float) -> int:
        return round(math.pow(one, 1 - share) * math.pow(other, share))

    def means(one: Mapping[Precision, int], other: Mapping[Precision, int]) -> dict[Precision, int]:
        return {precision: mean(one[precision], other[precision]) for precision in one if precision in other}

    around = msgspec.structs.replace(
        facts,
        parameters=mean(first.parameters, last.parameters),
        macs=mean(_macs_at(place, first, low, squared), _macs_at(place, last, high, squared)),
        activation_bytes=means(first.activation_bytes, last.activation_bytes),
        largest_tensor_bytes=means(first.largest_tensor_bytes, last.largest_tensor_bytes),
        sizes=(),
    )
    return around, place


def _outputs(output: Output) -> int:
    if type(output) is Classes:
        return output.count
    if type(output) is SeriesOutput:
        return output.length * output.channels
    if type(output) is Vector:
        return output.size
    return output.length * output.vocab_size  # type: ignore[union-attr]  # the one that is left


def _at(table: Mapping[Precision, int], precision: str) -> int:
    """The figure of a precision; the two halves are alike, and fp32 is an upper bound of both."""
    if precision in table:
        return table[precision]  # type: ignore[index]  # it is one of the keys
    half = table.get("bf16", table.get("fp16")) if precision != "fp32" else None
    return table.get("fp32", 0) if half is None else half
