"""The error of a model by the samples that it was trained on: a power law over a floor.

error(n) = factor * n^-exponent + floor (Hestness et al. 2017; Viering & Loog 2022). For each exponent of a
fine grid the other two are a linear problem, so that nothing depends on where a search begins.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

EXPONENTS = np.linspace(0.05, 2.0, 79)
DRAWS = 1000
Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Law:
    """One or many fitted laws; `factor` is the error above the floor at `unit` samples."""

    unit: float
    factor: Numbers
    exponent: Numbers
    floor: Numbers

    def __call__(self, samples: float) -> Numbers:
        """The error that each expects with so many samples."""
        return np.asarray(self.factor * (samples / self.unit) ** -self.exponent + self.floor)


def fit(samples: Numbers, errors: Numbers, deviations: Numbers) -> Law:
    """The laws nearest to `errors` `[D, S]` at `samples` `[S]`, whose `deviations` `[S]` weigh them.

    Neither factor nor floor is negative.
    """
    unit, weights = float(samples.max()), 1 / deviations**2
    best = np.full(len(errors), np.inf)
    found = {name: np.zeros(len(errors)) for name in ("factor", "exponent", "floor")}
    for exponent in EXPONENTS:
        shape = (samples / unit) ** -exponent
        for factor, floor in _candidates(shape, errors, weights):
            misfit = ((factor[:, None] * shape + floor[:, None] - errors) ** 2 * weights).sum(axis=1)
            better = (misfit < best) & (factor >= 0) & (floor >= 0)
            best = np.where(better, misfit, best)
            for name, value in (("factor", factor), ("exponent", exponent), ("floor", floor)):
                found[name] = np.where(better, value, found[name])
    return Law(unit, **found)


def _candidates(shape: Numbers, errors: Numbers, weights: Numbers) -> list[tuple[Numbers, Numbers]]:
    """Factor and floor by least squares: both free, no floor, no factor."""
    total, mean = weights.sum(), (weights * shape).sum() / weights.sum()
    level = (errors * weights).sum(axis=1) / total
    spread = (weights * (shape - mean) ** 2).sum()
    slope = ((errors - level[:, None]) * (shape - mean) * weights).sum(axis=1) / spread
    alone = (errors * shape * weights).sum(axis=1) / (weights * shape**2).sum()
    nought = np.zeros(len(errors))
    return [(slope, level - slope * mean), (alone, nought), (nought, level)]


def drawn(errors: Numbers, deviations: Numbers, *, seed: int = 0) -> Numbers:
    """`DRAWS` sets of errors as they might have been measured instead: `[D, S]`."""
    rng = np.random.Generator(np.random.PCG64(seed))
    return np.asarray(np.maximum(0.0, errors + deviations * rng.standard_normal((DRAWS, len(errors)))))
