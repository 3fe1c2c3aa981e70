"""Reading tables, and what is said of figures that are drawn from them."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

RESAMPLES = 2000
Z80 = 1.2816


@dataclass(frozen=True)
class Line:
    """A figure with its 95% interval, and what it should be at most, or between."""

    name: str
    value: float
    low: float
    high: float
    unit: str = ""
    aim: str = ""
    cases: int = 0

    def __str__(self) -> str:
        figure = f"{self.value:>8.2f} [{self.low:.2f}, {self.high:.2f}]{self.unit}"
        return f"{self.name:<52} {figure:<28} {self.cases:>6} {self.aim:>10}".rstrip()


def header(title: str) -> str:
    """The line above such figures."""
    return f"{title:<52} {'figure [95% interval]':>24} {'cases':>10} {'aim':>10}"


def read_rows(path: Path) -> Iterator[dict[str, str]]:
    """The rows of a table with a header."""
    with path.open(newline="") as file:
        yield from csv.DictReader(file)


def bootstrap(
    values: Sequence[float], statistic: Callable[..., float] = np.mean, *, groups: Sequence[str] = ()
) -> tuple[float, float, float]:
    """A statistic of the values and its 95% interval; `groups` are drawn whole where they are given."""
    draw = np.random.default_rng(0)
    data = np.asarray(values, float)
    names = np.asarray(groups if len(groups) else range(len(data)))
    members = [np.flatnonzero(names == name) for name in dict.fromkeys(names.tolist())]
    found = []
    for _ in range(RESAMPLES):
        chosen = np.concatenate([members[i] for i in draw.integers(len(members), size=len(members))])
        found.append(statistic(data[chosen]))
    low, high = np.quantile(found, [0.025, 0.975])
    return float(statistic(data)), float(low), float(high)


def error_line(name: str, residuals: Sequence[float], aim: str = "", groups: Sequence[str] = ()) -> Line:
    """The median error in per cent, of logarithms of what was predicted over what was measured."""
    errors = 100 * np.abs(np.expm1(np.asarray(residuals, float)))
    return Line(name, *bootstrap(errors, np.median, groups=groups), " %", aim, len(errors))


def coverage_line(name: str, hits: Sequence[bool], groups: Sequence[str] = ()) -> Line:
    """How often 80% intervals held the truth."""
    shares = 100 * np.asarray(hits, float)
    return Line(f"{name}: 80% intervals", *bootstrap(shares, groups=groups), " %", "76..84 %", len(shares))


def deviation_of(residuals: Sequence[float]) -> float:
    """The deviation whose 80% interval holds 80% of them: their tails are not those of a normal one."""
    return float(np.quantile(np.abs(np.asarray(residuals, float)), 0.8)) / Z80
