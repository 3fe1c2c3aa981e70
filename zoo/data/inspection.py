"""What is in a data set: sizes, classes, and what may be wrong with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo.data.alike import find_alike
from zoo.data.dataset import COLUMNS, SPLITS, Dataset, Reading
from zoo.data.images import Images
from zoo.specs import Problem, to_builtins

SHOWN = 5  # examples of each kind of finding


@dataclass(frozen=True, kw_only=True)
class Found:
    """Samples of one kind: how many, what share of all, and where the first of them are."""

    count: int
    share: float
    examples: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """What `zoo data inspect` shows of a data set.

    `classes` counts samples by class and split; `measures` gives the smallest, the median and the largest
    of what the samples have (`width`, `bytes`, `steps`); `findings` has `unusable`, `duplicates` (beyond the
    first of each), `leaked` (in test as in train) and `conflicting` samples (alike, with different answers).
    """

    name: str
    source: str
    kind: str
    problem: Problem
    sizes: Mapping[str, int]
    split: str
    classes: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    measures: Mapping[str, tuple[float, float, float]] = field(default_factory=dict)
    modes: Mapping[str, int] = field(default_factory=dict)
    findings: Mapping[str, Found] = field(default_factory=dict)
    told: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The document that `zoo data inspect --json` prints."""
        told = {
            name: to_builtins(value) for name, value in vars(self).items() if name not in ("findings", "told")
        }
        findings = {
            name: {"count": found.count, "share": found.share, "examples": list(found.examples)}
            for name, found in self.findings.items()
        }
        return {"schema": 1, **told, "findings": findings, "notes": list(self.told)}


def inspect_dataset(dataset: Dataset) -> Inspection:
    """What is in a data set, looked at sample by sample."""
    reading = dataset.reading or Reading(kind="data set by name", total=sum(map(dataset.size, SPLITS)))
    counts = {split: dataset.class_counts(split) for split in SPLITS}
    findings = _findings(dataset, reading)
    return Inspection(
        name=dataset.name,
        source=dataset.source,
        kind=reading.kind,
        problem=dataset.problem,
        sizes={split: dataset.size(split) for split in SPLITS},
        split=reading.split,
        classes={name: {split: counts[split].get(name, 0) for split in SPLITS} for name in counts["train"]},
        measures={name: _spread(values) for name, values in _measures(dataset).items() if len(values)},
        modes=dict(Counter(mode for images in _files(dataset) for mode in images.modes)),
        findings=findings,
        told=(*reading.told, *dataset.notes),
        warnings=(*reading.warnings, *_warn(findings)),
    )


def _warn(findings: Mapping[str, Found]) -> Iterator[str]:
    """A line for each finding that makes results untrustworthy."""
    if "leaked" in findings and (count := findings["leaked"].count):
        yield f"{count:,} test samples are in train too, so the test flatters; leave them out of one"
    if "conflicting" in findings and (count := findings["conflicting"].count):
        yield f"{count:,} samples are alike and have different answers; look at them"


def _findings(dataset: Dataset, reading: Reading) -> dict[str, Found]:
    skipped = [f"{skip.where}: {skip.reason}" for skip in reading.skipped]
    total = max(1, reading.total)
    found = {
        "unusable": Found(count=len(skipped), share=len(skipped) / total, examples=tuple(skipped[:SHOWN]))
    }
    if len(COLUMNS.get(dataset.problem.task, ())) < 2:
        return found
    alike = find_alike(dataset)
    several, extra = alike.sizes > 1, alike.sizes - 1

    def told(groups: NDArray[np.bool_], counts: NDArray[np.int64]) -> Found:
        count = int(counts[groups].sum())
        return Found(count=count, share=count / len(alike.order), examples=alike.examples(groups))

    found["duplicates"] = told(several, extra)
    found["leaked"] = told(alike.leaked, alike.tests)
    found["conflicting"] = told(alike.torn, alike.sizes)
    return found


def _measures(dataset: Dataset) -> dict[str, Any]:
    columns = [column for split in SPLITS for column in [dataset.splits[split]]]
    match dataset.problem.task:
        case "image-classification":
            sizes = [_sizes(column["images"]) for column in columns]
            return {"width": np.concatenate(sizes)[:, 0], "height": np.concatenate(sizes)[:, 1]}
        case "series-classification":
            steps = [(~np.isnan(np.asarray(column["series"])).all(axis=2)).sum(axis=1) for column in columns]
            return {"steps": np.concatenate(steps)}
        case "forecasting":
            return {"value": np.concatenate([np.asarray(column["series"]).ravel() for column in columns])}
        case task:
            names = [name for name in COLUMNS.get(task, ()) if name != "labels"]
            return {
                f"bytes of {name}": np.concatenate([_bytes(column[name]) for column in columns])
                for name in names
            }


def _bytes(texts: Any) -> Any:
    sizes = getattr(texts, "sizes", None)
    return np.array([len(text.encode("utf-8", "replace")) for text in texts]) if sizes is None else sizes


def _sizes(images: Any) -> Any:
    if isinstance(images, Images):
        return images.sizes
    return np.tile(np.asarray(images).shape[:1:-1], (len(images), 1))  # width, height


def _files(dataset: Dataset) -> list[Images]:
    found = [dataset.splits[split].get("images") for split in SPLITS]
    return [images for images in found if isinstance(images, Images)]


def _spread(values: Any) -> tuple[float, float, float]:
    array = np.asarray(values, dtype=np.float64)
    return float(array.min()), float(np.median(array)), float(array.max())
