"""Losses of language models: how far the shipped law is off, and one fitted without models of that size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from recommend_tables.common import Line, bootstrap, read_rows
from zoo.recommender.priors import read_priors
from zoo.recommender.scaling import PER_TOKEN, LossLaw

EXPONENTS = np.arange(0.2, 0.6, 0.01)
FOLDS = 8  # parts of the range of sizes, each left out in turn


def read_losses(folder: Path) -> np.ndarray:
    """Parameters, tokens and loss of each model that was trained."""
    rows = []
    for row in read_rows(folder / "chinchilla" / "svg_extracted_data.csv"):
        parameters, operations = float(row["Model Size"]), float(row["Training FLOP"])
        rows.append((parameters, operations / (PER_TOKEN * parameters), float(row["loss"])))
    return np.array(rows)


def loss_lines(rows: np.ndarray) -> Iterator[Line]:
    """Median errors of the loss in per cent."""
    law = read_priors().loss[0]
    yield _line("loss, the shipped law on its own points", _errors(law, rows), "0.33 %")
    parts = np.array_split(np.argsort(rows[:, 0]), FOLDS)
    left = []
    for part in parts:
        rest = np.setdiff1d(np.arange(len(rows)), part)
        left.extend(_errors(fit_loss(rows[rest], law), rows[part]))
    yield _line("loss, fitted without models of that size", left, "")


def _line(name: str, errors: Sequence[float], aim: str) -> Line:
    return Line(name, *bootstrap(errors, np.median), " %", aim, len(errors))


def _errors(law: LossLaw, rows: np.ndarray) -> list[float]:
    return [100 * abs(law.loss(parameters, tokens) / loss - 1) for parameters, tokens, loss in rows]


def fit_loss(rows: np.ndarray, like: LossLaw) -> LossLaw:
    """The law that fits best: factors by least squares for each pair of exponents, outliers weighing less."""
    parameters, tokens, loss = rows.T
    best = (np.inf, np.zeros(3), 0.0, 0.0)
    for a in EXPONENTS:
        for b in EXPONENTS:
            matrix = np.stack([np.ones(len(rows)), parameters**-a, tokens**-b], axis=1) / loss[:, None]
            solution = np.linalg.lstsq(matrix, np.ones(len(rows)), rcond=None)[0]
            left = float(np.abs(matrix @ solution - 1).sum())
            if left < best[0] and solution.min() > 0:
                best = left, solution, a, b
    _, (floor, by_parameters, by_tokens), a, b = best
    return like.replace(
        floor=float(floor),
        parameters_factor=float(by_parameters),
        parameters_exponent=float(a),
        tokens_factor=float(by_tokens),
        tokens_exponent=float(b),
    )
