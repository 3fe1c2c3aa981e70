"""Labels that two opinions doubt: the run's own model, and a simple one that never saw the sample's label."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from zoo.diagnosis.examined import Examined

FOLDS = 5
SIDE, STEPS = 16, 128  # pixels a side and time steps that the second opinion sees
HASHES = 2**16  # features of texts: their pieces of up to four characters
DOUBTED = 0.1  # the label's probability, below which an opinion is against it
FIT = 0.99  # of the training samples right: then the model has learned the doubtful labels too
BETTER = 0.5  # of the way from guessing to perfect: a second opinion that agrees less with labels is none


class Opinions:
    """What both say of the training samples that were examined, and how far the second can be trusted."""

    def __init__(self, examined: Examined) -> None:
        self._examined = examined
        answers = examined.answers("train")
        if answers is None:
            raise ValueError(f"{examined.spec.name} has no classes")
        self.predicted, self.given = answers
        self.by_heart = bool((self.predicted == self.given).mean() > FIT)
        self._classes, probabilities = _out_of_fold(_features(examined), self.given)
        self.second = self._classes[probabilities.argmax(axis=1)] if len(self._classes) else self.given
        places = np.searchsorted(self._classes, self.given)
        known = np.isin(self.given, self._classes)
        self._second_given = np.ones(len(self.given))
        self._second_given[known] = probabilities[np.flatnonzero(known), places[known]]

    @property
    def agreement(self) -> float:
        """The share of the labels that the second opinion gives too."""
        return float((self.second == self.given).mean())

    @property
    def trusted(self) -> bool:
        """Whether the second opinion knows enough to be asked."""
        chance = float(np.bincount(self.given).max() / len(self.given))
        return len(self._classes) > 1 and self.agreement > chance + BETTER * (1 - chance)

    def suspects(self) -> NDArray[np.int64]:
        """Places among the examined samples whose label both doubt for the same other one, the worst first.

        A model that knows its samples by heart has no opinion of its own: then the second is asked alone.
        """
        cost = self._examined.costs("train")
        doubted = (self.second != self.given) & (self._second_given < DOUBTED)
        if not self.by_heart:
            doubted &= (self.predicted == self.second) & (np.exp(-cost) < DOUBTED)
        found = np.flatnonzero(doubted)
        order = np.argsort(self._second_given[found] * np.exp(-cost[found]), kind="stable")
        return np.asarray(found[order])


def _features(examined: Examined) -> Any:
    """Each examined training sample as numbers, made without the model: dense `[N, F]`, or sparse counts."""
    column = examined.dataset.splits["train"]
    if "text" in column:
        from sklearn.feature_extraction.text import HashingVectorizer

        chosen = column["text"]
        texts = [chosen[row] for row in examined.rows.tolist()]
        pieces = HashingVectorizer(
            analyzer="char_wb", ngram_range=(1, 4), n_features=HASHES, alternate_sign=False
        )
        return pieces.transform(texts)
    split, found = examined.prepared.splits["train"], []
    device = next(examined.module.parameters()).device
    for rows in torch.split(examined.rows, 512):
        batch = split.to(device).take(rows.to(device))
        found.append(_flat(batch).cpu())
    return torch.cat(found).double().numpy()


def _flat(batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """Images `[B, C, H, W]` and series `[B, T, C]` as rows of few numbers."""
    if "images" in batch:
        images = batch["images"]
        small = min(SIDE, images.shape[2]), min(SIDE, images.shape[3])
        return F.adaptive_avg_pool2d(images, small).flatten(1)
    series = torch.nan_to_num(batch["series"]).transpose(1, 2)
    return F.adaptive_avg_pool1d(series, min(STEPS, series.shape[2])).flatten(1)


def _out_of_fold(features: Any, labels: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Classes with enough samples, and their probabilities by a model that was fitted to other samples."""
    from scipy.sparse import issparse
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.model_selection import StratifiedKFold
    from sklearn.naive_bayes import MultinomialNB

    counts = np.bincount(labels)
    classes = np.flatnonzero(counts >= FOLDS)
    probabilities = np.zeros((len(labels), len(classes)))
    if len(classes) < 2:
        return classes, probabilities
    usable = np.flatnonzero(np.isin(labels, classes))
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    with warnings.catch_warnings():  # constant pixels, which do no harm
        warnings.simplefilter("ignore")
        for fitted, asked in folds.split(usable, labels[usable]):
            model = (
                MultinomialNB(alpha=0.1)
                if issparse(features)
                else LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")
            )
            model.fit(features[usable[fitted]], labels[usable[fitted]])
            probabilities[usable[asked]] = model.predict_proba(features[usable[asked]])
    return classes, probabilities
