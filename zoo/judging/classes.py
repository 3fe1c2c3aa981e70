"""Class by class: what is found, what is taken for what, and how far the probabilities can be believed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics.functional.classification import binary_calibration_error

from zoo.tasks.base import ANSWERS, Scores

BINS = 15  # as Guo et al. 2017 have it
LARGEST = 100  # classes of which the whole matrix is written out


class ClassScore(NamedTuple):
    """How well one class is told from the others; a share of nothing counts 0."""

    label: str
    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True)
class Confusion:
    """`count` samples of the class `true` were taken for `answer`, a `share` of that class."""

    true: str
    answer: str
    count: int
    share: float


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """How probable answers are said to be on average, how many are right, and the expected calibration error.

    `bins` holds for each filled one its mean probability, its accuracy and how many answers are in it.
    """

    confidence: float
    accuracy: float
    error: float
    bins: tuple[tuple[float, float, int], ...]

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        bins = [{"confidence": said, "accuracy": right, "count": count} for said, right, count in self.bins]
        return {
            "ece": self.error,
            "confidence": self.confidence,
            "accuracy": self.accuracy,
            "bins": bins,
        }


@dataclass(frozen=True, kw_only=True)
class ClassReport:
    """The predicted and the true class of each sample, `[N]`, counted; `labels` name the classes."""

    labels: tuple[str, ...]
    predicted: NDArray[np.int64]
    true: NDArray[np.int64]
    calibration: Calibration | None = None

    @property
    def scores(self) -> list[ClassScore]:
        """A row for each class that was met, in order."""
        count = len(self.labels)
        support, answered = (np.bincount(each, minlength=count) for each in (self.true, self.predicted))
        right = np.bincount(self.true[self.true == self.predicted], minlength=count)
        precision, recall = right / np.maximum(answered, 1), right / np.maximum(support, 1)
        f1 = 2 * right / np.maximum(answered + support, 1)
        return [
            ClassScore(
                self.labels[row], float(precision[row]), float(recall[row]), float(f1[row]), int(support[row])
            )
            for row in np.flatnonzero(support + answered)
        ]

    @property
    def confusions(self) -> list[Confusion]:
        """Every pair of classes that was mistaken, the commonest first."""
        count = len(self.labels)
        wrong = self.true != self.predicted
        cells, counts = np.unique(self.true[wrong] * count + self.predicted[wrong], return_counts=True)
        support = np.bincount(self.true, minlength=count)
        return [
            Confusion(
                self.labels[cells[place] // count],
                self.labels[cells[place] % count],
                int(counts[place]),
                float(counts[place] / support[cells[place] // count]),
            )
            for place in np.argsort(-counts, kind="stable")
        ]

    @property
    def matrix(self) -> NDArray[np.int64]:
        """Counts `[K, K]`: a row for each true class, a column for each answer."""
        count = len(self.labels)
        return np.bincount(self.true * count + self.predicted, minlength=count**2).reshape(count, count)

    def as_json(self) -> dict[str, Any]:
        """`per_class`, `confusion` (its matrix where the classes are few) and `calibration`."""
        confusion: dict[str, Any] = {"largest": [vars(pair) for pair in self.confusions]}
        if len(self.labels) <= LARGEST:
            confusion |= {"labels": list(self.labels), "matrix": self.matrix.tolist()}
        told = {"per_class": [score._asdict() for score in self.scores], "confusion": confusion}
        return told | ({"calibration": self.calibration.as_json()} if self.calibration else {})


def classes_of(scores: Scores, details: Mapping[str, Tensor], labels: tuple[str, ...]) -> ClassReport | None:
    """The report of what a task's scores and details say of each sample; None where there are no classes."""
    if ANSWERS not in scores:
        return None
    predicted, true = scores[ANSWERS]
    known = max(int(predicted.max()), int(true.max())) + 1
    told = calibrate(details["confidence"], predicted == true) if "confidence" in details else None
    return ClassReport(
        labels=labels or tuple(str(number) for number in range(known)),
        predicted=predicted.numpy(),
        true=true.numpy(),
        calibration=told,
    )


def calibrate(confidence: Tensor, right: Tensor) -> Calibration:
    """Probabilities of answers and whether they are right, `[N]` each: Guo et al. 2017, equation 3."""
    said = confidence.double().clamp(0, 1)
    places = torch.bucketize(said, torch.linspace(0, 1, BINS + 1, dtype=torch.float64)[1:-1])
    counts = torch.bincount(places, minlength=BINS)
    sums = [torch.bincount(places, each, minlength=BINS).tolist() for each in (said, right.double())]
    bins = [
        (high / count, hits / count, count)
        for high, hits, count in zip(*sums, counts.tolist(), strict=True)
        if count
    ]
    return Calibration(
        confidence=float(said.mean()),
        accuracy=float(right.double().mean()),
        error=float(binary_calibration_error(said, right.long(), n_bins=BINS, norm="l1")),
        bins=tuple(bins),
    )
