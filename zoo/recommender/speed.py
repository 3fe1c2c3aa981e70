"""By how much a model is slower or faster than its operations and bytes alone would have it.

A roofline knows two figures of a model. What else decides is in its other facts: many small layers,
grouped convolutions, normalisations that are computed in fp32. A law is a polynomial of them, fitted on
models that were timed; `priors.toml` holds it with its source.
"""

from __future__ import annotations

import math

from zoo.recommender.facts import Load
from zoo.specs import Record

CUT = 2.5  # deviations from the middle of the fitted models, beyond which a law goes no farther


class SpeedLaw(Record, frozen=True, kw_only=True):
    """The logarithm of a sample's time in training over a first guess at it.

    That guess is the roofline or, with `forward`, a number of forward passes as they were timed. `middles`
    and `spreads` bring the features to one scale; `linear` has a coefficient for each of them, `products` one
    for each pair, squares included, row by row. `families` adds what some do otherwise. `deviation` is that
    of models of other makes than the fitted ones on `device`, `between_devices` what another device adds.
    """

    kind: str
    device: str
    forward: bool = False
    middles: tuple[float, ...]
    spreads: tuple[float, ...]
    intercept: float
    linear: tuple[float, ...]
    products: tuple[float, ...]
    families: dict[str, float] = {}
    deviation: float
    between_devices: float
    source: str

    def log_factor(self, features: tuple[float, ...], family: str) -> float:
        """What is to be added to the logarithm of the guess."""
        scaled = [
            min(CUT, max(-CUT, (value - middle) / spread))
            for value, middle, spread in zip(features, self.middles, self.spreads, strict=True)
        ]
        total = self.intercept + self.families.get(family, 0.0)
        place = 0
        for number, value in enumerate(scaled):
            total += self.linear[number] * value
            for other in scaled[number:]:
                total += self.products[place] * value * other
                place += 1
        return total


def features_of(load: Load) -> tuple[float, ...] | None:
    """What a law is told of a model; None where its facts leave something out.

    In half precision, whatever it is trained in: bytes kept and parameters for an operation, the
    operations, the share that the largest tensor has, and how much less is kept than in fp32.
    """
    kept, largest = load.activation_bytes("bf16"), load.largest_bytes("bf16")
    whole = load.activation_bytes("fp32")
    if min(load.macs, load.parameters, kept, largest, whole) <= 0:
        return None
    macs = math.log(load.macs)
    return (
        math.log(kept) - macs,
        math.log(load.parameters) - macs,
        macs,
        math.log(largest / kept),
        math.log(whole / kept),
    )
