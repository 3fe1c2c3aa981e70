"""Handwritten digits of 8 x 8 pixels."""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_digits

from zoo.data.dataset import Dataset
from zoo.data.samples._draws import generator, permutation
from zoo.specs import Classes, ImageInput, Problem

VALIDATION, TEST = 20, 30  # images of each class


def load() -> Dataset:
    """The 1,797 digits that come with scikit-learn, as uint8 images `[N, 1, 8, 8]`.

    Ink, counted there from 0 to 16, is scaled to 0..255. Each class gives 20 images to validation,
    30 to test and the rest to training, at random. Source: Alpaydin & Kaynak, "Optical Recognition
    of Handwritten Digits", UCI, 1998 (that collection's test part).
    """
    ink, labels = load_digits(return_X_y=True)  # [N, 64] in 0..16, [N]
    images = np.rint(ink * 255 / 16).astype(np.uint8).reshape(-1, 1, 8, 8)
    labels = labels.astype(np.int64)
    order = permutation(generator(0), len(labels))
    rank = np.empty_like(labels)  # of each shuffled image among those of its class
    for label in range(10):
        members = np.flatnonzero(labels[order] == label)
        rank[members] = np.arange(len(members))
    rows = {
        "train": order[rank >= VALIDATION + TEST],
        "validation": order[rank < VALIDATION],
        "test": order[(rank >= VALIDATION) & (rank < VALIDATION + TEST)],
    }
    return Dataset(
        name="digits",
        problem=Problem(
            task="image-classification",
            input=ImageInput(channels=1, height=8, width=8),
            output=Classes(count=10, names=tuple("0123456789")),
            samples=len(rows["train"]),
        ),
        splits={
            split: {"images": images[chosen], "labels": labels[chosen]} for split, chosen in rows.items()
        },
        license="CC-BY-4.0",
        notes=("the splits share writers: scikit-learn's copy does not say who wrote which digit",),
    )
