"""The scale on which scores are compared, and how much they differ on it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

STRENGTH = 4.0  # results that a starting spread is worth
NUMBER_NOISE = 0.05  # deviation of a metric that is a number, from the samples it is judged on


class Cut(msgspec.Struct, frozen=True):
    """What is lost where a schedule is cut: nothing for the first factors e, then so much for each.

    `deviation` is by how much models differ, for each factor.
    """

    free: float
    each: float
    deviation: float


CUT_FRACTION = Cut(0.75, 1.25, 0.6)
CUT_NUMBER = Cut(0.0, 0.7, 0.3)


class Spread(msgspec.Struct, frozen=True):
    """Standard deviations between problems, families and a family's models, and of what is left."""

    problem: float
    family: float
    model: float
    rest: float


class Scale(msgspec.Struct, frozen=True):
    """Logits for a metric that is a fraction, a logarithm for a number; more is always better."""

    unit: str
    maximize: bool

    def to(self, score: float) -> float:
        """A score on this scale."""
        if self.unit == "fraction":
            share = min(max(score, 0.001), 0.999)
            value = math.log(share / (1 - share))
        else:
            value = math.log(max(score, 1e-6))
        return value if self.maximize else -value

    def seen(self, score: float, judged: int) -> tuple[float, float]:
        """Where a score on so many samples is on this scale, and the variance that their number leaves it.

        Half a success and half a failure are added to a fraction (Jeffreys' prior), without which a perfect
        score on few samples would be endless.
        """
        if self.unit != "fraction":
            return self.to(score), NUMBER_NOISE**2
        share = (score * judged + 0.5) / (judged + 1)
        return self.to(share), 1 / (judged * share * (1 - share))

    def uncut(self, cut: float) -> tuple[float, float]:
        """What a schedule that was cut by `cut` factors e took from the score, and that figure's deviation.

        By `benchmarks/recommend.py --only cuts`.
        """
        law = CUT_FRACTION if self.unit == "fraction" else CUT_NUMBER
        return law.each * max(0.0, cut - law.free), law.deviation * cut

    def steepness(self, score: float) -> float:
        """By how much it rises here for a step of the score."""
        if self.unit == "fraction":
            share = min(max(score, 0.001), 0.999)
            return 1 / (share * (1 - share))
        return 1 / max(score, 1e-6)

    def back(self, value: float) -> float:
        """The score that has this value."""
        value = value if self.maximize else -value
        return 1 / (1 + math.exp(-value)) if self.unit == "fraction" else math.exp(value)

    @property
    def spread(self) -> Spread:
        """Where estimates of the spreads start: those of UCR-128 for fractions, a quarter for numbers."""
        return Spread(1.3, 0.5, 0.45, 0.6) if self.unit == "fraction" else Spread(0.5, 0.12, 0.12, 0.15)

    @property
    def repeat(self) -> float:
        """The deviation of a result that is measured once more, on the same data with another seed."""
        return 0.12 if self.unit == "fraction" else 0.03

    @property
    def slopes(self) -> tuple[tuple[float, float], ...]:
        """Expected change for each decade of samples, outputs and size, with its deviation."""
        if self.unit == "fraction":
            return (0.8, 0.5), (-0.6, 0.6), (0.0, 0.4)
        return (0.08, 0.1), (0.0, 0.15), (0.0, 0.1)


def pooled(start: float, squares: Sequence[tuple[float, float]]) -> float:
    """A standard deviation from weighted squares and a starting value worth `STRENGTH` of them."""
    weight = sum(w for w, _ in squares)
    total = sum(w * square for w, square in squares)
    return math.sqrt((STRENGTH * start**2 + total) / (STRENGTH + weight))


def solve(matrix: Sequence[Sequence[float]], vector: Sequence[float]) -> list[float]:
    """The solution of a small system of linear equations with a positive definite matrix."""
    size = len(vector)
    rows = [[*row, value] for row, value in zip(matrix, vector, strict=True)]
    for pivot in range(size):
        for row in rows[pivot + 1 :]:
            factor = row[pivot] / rows[pivot][pivot]
            for column in range(pivot, size + 1):
                row[column] -= factor * rows[pivot][column]
    solution = [0.0] * size
    for i in reversed(range(size)):
        known = sum(rows[i][j] * solution[j] for j in range(i + 1, size))
        solution[i] = (rows[i][size] - known) / rows[i][i]
    return solution
