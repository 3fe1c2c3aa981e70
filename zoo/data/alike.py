"""Which samples of a data set are the same, and whether they have the same answer."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo.data.dataset import COLUMNS, SPLITS, Dataset
from zoo.data.images import Images

SHOWN, EACH = 5, 3  # groups that are shown as examples, and samples of each
TEST = SPLITS.index("test")
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Alike:
    """Samples in groups of the same content, known by 64 bits of a hash; a few numbers for each sample.

    The samples of all splits are numbered on; `order` has them group by group, which begin at `starts`.
    """

    dataset: Dataset
    order: Integers
    starts: Integers
    splits: NDArray[np.int8]
    answers: Integers

    @property
    def sizes(self) -> Integers:
        """How many samples each group has."""
        return np.diff(self.starts, append=len(self.order))

    @property
    def leaked(self) -> NDArray[np.bool_]:
        """Which groups are in train and in test."""
        splits = self.splits[self.order]
        lowest, highest = (kind.reduceat(splits, self.starts) for kind in (np.minimum, np.maximum))
        return np.asarray((lowest == 0) & (highest == TEST))

    @property
    def torn(self) -> NDArray[np.bool_]:
        """Which groups have more than one answer."""
        answers = self.answers[self.order]
        lowest, highest = (kind.reduceat(answers, self.starts) for kind in (np.minimum, np.maximum))
        return np.asarray(lowest != highest)

    @property
    def tests(self) -> Integers:
        """How many samples of each group are test samples."""
        found: Integers = np.add.reduceat(self.splits[self.order] == TEST, self.starts, dtype=np.int64)
        return found

    def examples(self, groups: NDArray[np.bool_]) -> tuple[str, ...]:
        """The first of some groups: where their samples are, and the answer of each."""
        chosen = np.flatnonzero(groups)
        chosen = chosen[np.argsort(self.order[self.starts[chosen]])][:SHOWN]
        rows = [self.order[self.starts[group] :][: min(EACH, self.sizes[group])] for group in chosen]
        return tuple(" = ".join(map(self._place, samples.tolist())) for samples in rows)

    def _place(self, sample: int) -> str:
        split = SPLITS[self.splits[sample]]
        row = sample - int(np.searchsorted(self.splits, self.splits[sample]))
        answer = self.dataset.splits[split][COLUMNS[self.dataset.problem.task][1]][row]
        names = self.dataset.labels
        return f"{split} {row} ({names[int(answer)] if names else answer})"


def find_alike(dataset: Dataset) -> Alike:
    """The samples of all splits in groups of the same content."""
    first, second = COLUMNS[dataset.problem.task]
    keys = np.concatenate([hashes(dataset.splits[split][first]) for split in SPLITS])
    answers = [dataset.splits[split][second] for split in SPLITS]
    order = np.argsort(keys, kind="stable")
    return Alike(
        dataset=dataset,
        order=order,
        starts=np.flatnonzero(np.diff(keys[order], prepend=keys[order[0]] + np.uint64(1))),
        splits=np.repeat(np.arange(len(SPLITS), dtype=np.int8), [len(answer) for answer in answers]),
        answers=np.concatenate(
            [
                answer if isinstance(answer, np.ndarray) else hashes(answer).astype(np.int64)
                for answer in answers
            ]
        ),
    )


def hashes(samples: Any) -> NDArray[np.uint64]:
    """64 bits of a hash of each sample's content."""
    values = samples.digests if isinstance(samples, Images) else samples
    return np.fromiter(map(_hash, values), dtype=np.uint64, count=len(samples))


def _hash(value: Any) -> int:
    content = value.encode("utf-8", "replace") if isinstance(value, str) else np.asarray(value).tobytes()
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little")
