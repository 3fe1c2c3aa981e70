"""By how much a model is slower or faster than its operations and bytes alone would have it.

A roofline knows two figures of a model. What else decides is in its other facts, and more of it in how it is
built: grouped convolutions, many small layers, normalisations in fp32. So a law has a line through the facts,
and a constant for each group of architectures that was timed; `priors.toml` holds it with its source.
"""

from __future__ import annotations

import math
from itertools import combinations_with_replacement

import msgspec

from zoo.recommender.facts import Load
from zoo.specs import Record

EDGE = 2.5  # deviations from the middle of the fitted models, up to which a law holds; beyond, it fades


class Correction(msgspec.Struct, frozen=True, gc=False):
    """What is to be added to the logarithm of a guess, and the deviation that is left.

    `share` is how far the law holds, from nought to one; for the rest, the guess is as unsure as before.
    """

    log_factor: float
    deviation: float
    share: float


class SpeedLaw(Record, frozen=True, kw_only=True):
    """The logarithm of a sample's time in training over a first guess at it.

    That guess is the roofline or, with `forward`, a number of forward passes as they were timed. `middles`
    and `spreads` bring the features to one scale; `linear` has a coefficient for each of them, `products`
    none at all or one for each pair, squares included, row by row. `families` and `groups` add what some do
    otherwise. `deviation` is that of other models of the groups on `device`,
    `between_groups` what a group adds that was not fitted, `between_devices` what another device adds.
    """

    kind: str
    device: str
    forward: bool = False
    middles: tuple[float, ...]
    spreads: tuple[float, ...]
    intercept: float
    linear: tuple[float, ...]
    products: tuple[float, ...] = ()
    families: dict[str, float] = {}
    groups: dict[str, float] = {}
    deviation: float
    between_groups: float
    between_devices: float
    source: str

    def correct(self, features: tuple[float, ...], load: Load, device: str) -> Correction:
        """What the law says of a model on a device."""
        scaled = [
            (value - middle) / spread
            for value, middle, spread in zip(features, self.middles, self.spreads, strict=True)
        ]
        inside = [min(EDGE, max(-EDGE, value)) for value in scaled]
        outside = sum((value - held) ** 2 for value, held in zip(scaled, inside, strict=True))
        total = self.intercept + self.families.get(load.family, 0.0)
        total += sum(slope * value for slope, value in zip(self.linear, inside, strict=True))
        if self.products:
            pairs = combinations_with_replacement(inside, 2)
            total += sum(
                slope * one * other for slope, (one, other) in zip(self.products, pairs, strict=True)
            )
        known = load.group in self.groups
        total += self.groups.get(load.group, 0.0)
        unsure = self.deviation**2 + (0.0 if known else self.between_groups**2)
        unsure += 0.0 if device == self.device else self.between_devices**2
        share = math.exp(-outside / 2)
        return Correction(share * total, math.sqrt(unsure), share)


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
