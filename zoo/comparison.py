"""Two models on the same samples: which is better, by how much, and whether that may be luck."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import PCG64, Generator
from numpy.typing import NDArray

from zoo.errors import ZooError
from zoo.evaluation import Evaluation
from zoo.specs import TaskSpec
from zoo.units import format_metric

RESAMPLES = 9_999
INTERVAL = (2.5, 97.5)  # per cent: a 95% interval, which leaves out 0 about where p < 0.05
LUCK = 0.05  # a p-value from which on a difference may well be luck
TOGETHER = 1 << 22  # numbers that are drawn at once


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What `model` reaches over `reference` on the same samples, in the primary metric.

    `low` and `high` are the bounds of a paired 95% bootstrap interval of the difference; `p_value` is how
    probable a difference at least as large is where both are equally good, by `test`.
    """

    reference: str
    model: str
    metric: str
    maximize: bool
    unit: str
    difference: float
    low: float
    high: float
    p_value: float
    test: str
    evaluation: Evaluation

    def __str__(self) -> str:
        """One plain sentence."""
        luck = "may well be luck" if self.p_value >= LUCK else "unlikely to be luck"
        better = self.difference > 0 if self.maximize else self.difference < 0
        sign = 1.0 if self.difference >= 0 else -1.0
        low, high = sorted((sign * self.low, sign * self.high))
        span = f"[{_points(low, self.unit)}, {_points(high, self.unit)}]"
        judged = f"{span}; p = {self.p_value:.2g}: {luck}"
        if self.difference == 0:
            return f"{self.model} is as good as {self.reference} in {self.metric} {judged}"
        size = _points(abs(self.difference), self.unit) + (" points" if self.unit == "fraction" else "")
        which = "better" if better else "worse"
        return f"{self.model} is {which} than {self.reference} in {self.metric} by {size} {judged}"

    def as_json(self) -> dict[str, Any]:
        """What `zoo evaluate --compare` adds to its document."""
        metrics = {name: vars(metric) for name, metric in self.evaluation.metrics.items()}
        return {
            "model": self.model,
            "metric": self.metric,
            "difference": {"value": self.difference, "low": self.low, "high": self.high},
            "p_value": self.p_value,
            "test": self.test,
            "told": str(self),
            "metrics": metrics,
        }


def compare(reference: Evaluation, other: Evaluation, task: TaskSpec) -> Comparison:
    """Both evaluations' primary metric, sample by sample.

    Where every sample is right or wrong the test is McNemar's, exact (McNemar 1947), else a permutation
    test that swaps the models within samples. Forecasts that overlap are taken together. Raises `ZooError`
    where the two were not asked about the same samples.
    """
    values, weights = _paired(reference, other, task.metric)
    changes = weights * (values[1] - values[0])
    blocks = _blocks(changes, len(reference.steps) or 1), _blocks(weights, len(reference.steps) or 1)
    if np.isin(values, (0, 1)).all() and not reference.steps:
        test, p_value = "McNemar, exact", _mcnemar(changes)
    else:
        test, p_value = "paired permutation", _permuted(blocks[0])
    low, high = _interval(*blocks)
    return Comparison(
        reference=reference.model,
        model=other.model,
        metric=task.metric,
        maximize=task.maximize,
        unit=task.unit,
        difference=float(changes.sum() / weights.sum()),
        low=low,
        high=high,
        p_value=p_value,
        test=test,
        evaluation=other,
    )


def _paired(
    reference: Evaluation, other: Evaluation, metric: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The metric of both models, `[2, N]`, and the samples' weights `[N]`."""
    found = [each.scores[metric] for each in (reference, other)]
    values, weights = ([pair[part].double().numpy() for pair in found] for part in (0, 1))
    same = len(values[0]) == len(values[1]) and len(reference.steps) == len(other.steps)
    if not same or not np.allclose(weights[0], weights[1]):
        raise ZooError(
            f"{reference.model} and {other.model} cut {reference.data} into different samples "
            f"({len(values[0]):,} and {len(values[1]):,}), which cannot be compared one by one; take models "
            "that read as much at once"
        )
    return np.stack(values), weights[0]


def _blocks(values: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """Sums of `size` values that follow each other: those of windows that share most of their steps."""
    return np.asarray(np.add.reduceat(values, np.arange(0, len(values), size)))


def _mcnemar(changes: NDArray[np.float64]) -> float:
    from scipy.stats import binomtest

    won, lost = int((changes > 0).sum()), int((changes < 0).sum())
    return float(binomtest(won, won + lost).pvalue) if won + lost else 1.0


def _permuted(changes: NDArray[np.float64]) -> float:
    from scipy.stats import permutation_test

    if not changes.any():
        return 1.0
    found = permutation_test(
        (changes, np.zeros_like(changes)),
        lambda ours, theirs, axis: (ours - theirs).mean(axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=RESAMPLES,
        batch=max(1, TOGETHER // len(changes)),
        rng=Generator(PCG64(0)),
    )
    return float(found.pvalue)


def _interval(changes: NDArray[np.float64], weights: NDArray[np.float64]) -> tuple[float, float]:
    """The bootstrap interval (Efron 1979) of the weighted mean change."""
    rng, count = Generator(PCG64(0)), len(changes)
    drawn = np.empty(RESAMPLES)
    together = max(1, TOGETHER // count)
    for start in range(0, RESAMPLES, together):
        rows = rng.integers(count, size=(min(together, RESAMPLES - start), count))
        drawn[start : start + len(rows)] = changes[rows].sum(axis=1) / np.maximum(
            weights[rows].sum(axis=1), 1e-12
        )
    low, high = np.percentile(drawn, INTERVAL)
    return float(low), float(high)


def _points(value: float, unit: str) -> str:
    """A difference as it is read: of fractions in percentage points."""
    return f"{100 * value:.1f}" if unit == "fraction" else format_metric(value, unit)
