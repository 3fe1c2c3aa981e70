"""Images, texts and series with a class each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from zoo.data.balance import warn_of_balance
from zoo.data.dataset import SPLITS, Columns, different
from zoo.data.images import Images
from zoo.data.language import read_texts, text_input
from zoo.data.pixels import read_images
from zoo.data.request import Log, Parts, Request, groups_of, numbered, paths_of, some
from zoo.data.roles import Roles
from zoo.data.series import read_series
from zoo.data.splitting import plan_splits
from zoo.data.table import Coded, Table, Texts, Values, as_labels
from zoo.errors import DataError
from zoo.specs import Classes, ImageInput, Input, Problem, SeriesInput

COLUMN = {"image-classification": "images", "text-classification": "text", "series-classification": "series"}
LARGEST = 256  # pixels a side, where images have no size in common
SINGLES = 10  # so many classes may have a sample each before they look like no classes at all


def read_classes(table: Table, roles: Roles, request: Request) -> Parts:
    """The samples with their class, by split; raises `DataError` for what is no set of classes."""
    log = request.log
    read = {split: _read_part(table, split, columns, roles, log) for split, columns in table.splits.items()}
    present = {given.words[code] for _, given, _ in read.values() for code in np.unique(given.codes)}
    samples = sum(len(found) for found, _, _ in read.values())
    names = class_names(present, samples, table.uri, fewest=1 if request.judge else 2)
    labels = {split: _numbers(given, names) for split, (_, given, _) in read.items()}
    groups = numbered({split: given for split, (_, _, given) in read.items()})
    plan = plan_splits(labels, groups, seed=request.seed, where=repr(table.uri), judge=request.judge)
    inputs = _alike({split: found for split, (found, _, _) in read.items()})
    splits = plan.fill(
        lambda part, rows: {COLUMN[roles.task]: inputs[part][rows], "labels": labels[part][rows]}
    )
    if not request.judge:
        _check_classes(splits, names, table.uri, log)
    problem = Problem(
        task=roles.task,
        input=_input(roles.task, splits, log),
        output=Classes(count=len(names), names=tuple(names)),
        samples=len(splits["train"]["labels"]),
    )
    return Parts(problem, splits, plan.told)


def class_names(labels: Iterable[str], samples: int, uri: str, *, fewest: int = 2) -> list[str]:
    """The classes in order, whole numbers by value; raises `DataError` for too few, or too many."""
    names = sorted(labels)
    if not names:
        raise DataError(f"{uri!r} holds no sample that can be used")
    if len(names) < fewest:
        raise DataError(f"{uri!r} has a single class, {names[0]!r}; there is nothing to tell apart")
    if len(names) > max(SINGLES, samples // 2):
        raise DataError(
            f"{uri!r} has {len(names):,} different labels in {samples:,} samples, such as {names[0]!r}; "
            "that is no column of classes: say --columns label=NAME"
        )
    return sorted(names, key=int) if all(name.lstrip("-").isdecimal() for name in names) else names


def _numbers(labels: Coded, names: Sequence[str]) -> NDArray[np.int64]:
    """The place of each sample's class among `names`."""
    place = {name: number for number, name in enumerate(names)}
    return np.array([place.get(word, -1) for word in labels.words], dtype=np.int64)[labels.codes]


def _read_part(
    table: Table, split: str, columns: Mapping[str, Values], roles: Roles, log: Log
) -> tuple[Any, Coded, NDArray[np.int64] | None]:
    """Inputs, labels and groups of the samples that can be used."""
    column = roles.one("label")
    labels = as_labels(columns[column], column, table.names.get(column, ()))
    origins = np.arange(len(labels.codes))  # the row of the table that a sample's label comes from
    found: Any
    faults: Mapping[int, str]
    paths = paths_of(columns, roles)
    if roles.task == "image-classification":
        found, faults = read_images(table, columns[roles.one("image")])
    elif roles.task == "text-classification":
        found, faults = read_texts(table, columns[roles.one("text")], roles.one("text"))
    else:
        series = read_series(columns, roles, log.told)
        found, faults = series.values, series.faults
        if series.rows is not None:
            origins, paths = _one_label_each(table.uri, labels, series.names, series.rows), series.names
    if len(origins) != len(found):
        raise DataError(
            f"{table.uri!r} has {len(found):,} samples and {len(origins):,} labels; give one to each"
        )
    unlabelled = dict.fromkeys(np.flatnonzero(labels.codes[origins] < 0).tolist(), "it has no label")
    rows = log.keep(split, {**unlabelled, **faults}, len(origins), paths)
    kept = origins[rows]
    return found[rows], Coded(labels.words, labels.codes[kept]), groups_of(columns, roles, kept)


def _one_label_each(
    uri: str, labels: Coded, names: Sequence[str], rows: Sequence[Sequence[int]]
) -> NDArray[np.int64]:
    """The first row of each series of a long table; raises `DataError` where its rows disagree."""
    for name, chosen in zip(names, rows, strict=True):
        if len(np.unique(labels.codes[list(chosen)])) > 1:
            raise DataError(f"{uri!r}: series {name!r} has more than one label; give it the same in each row")
    return np.array([chosen[0] for chosen in rows], dtype=np.int64)


def _alike(inputs: dict[str, Any]) -> dict[str, Any]:
    """Inputs of all splits in one shape: as many channels, series as long as the longest."""
    if all(isinstance(images, Images) for images in inputs.values()):
        channels = max(images.channels for images in inputs.values())
        return {split: replace(images, channels=channels) for split, images in inputs.items()}
    arrays = [found for found in inputs.values() if isinstance(found, np.ndarray)]
    if not arrays:
        return inputs
    if arrays[0].dtype == np.uint8:
        if len({array.shape[1:] for array in arrays}) > 1:
            raise DataError(
                f"splits have images of {some([str(array.shape[1:]) for array in arrays])}; give all alike"
            )
        return inputs
    if len({array.shape[2] for array in arrays}) > 1:
        raise DataError(
            f"splits have series of {sorted({array.shape[2] for array in arrays})} channels; give all as many"
        )
    longest = max(array.shape[1] for array in arrays)
    return {
        split: np.pad(array, ((0, 0), (0, longest - array.shape[1]), (0, 0)), constant_values=np.nan)
        for split, array in inputs.items()
    }


def _check_classes(splits: Mapping[str, Columns], names: list[str], uri: str, log: Log) -> None:
    counts = {
        split: np.bincount(np.asarray(splits[split]["labels"]), minlength=len(names)) for split in SPLITS
    }
    for split in SPLITS[1:]:
        strange = [names[number] for number in np.flatnonzero((counts[split] > 0) & (counts["train"] == 0))]
        if strange:
            raise DataError(
                f"{uri!r}: {split} has classes that train lacks: {some(strange)}; give train samples of "
                "them, or leave them out"
            )
    absent = [names[number] for number in np.flatnonzero(counts["test"] == 0)]
    if absent:
        log.warnings.append(
            f"classes without a sample to test on: {some(absent)}; how good they are will not be known"
        )
    log.warnings += warn_of_balance(dict(zip(names, counts["train"].tolist(), strict=True)))


def _input(task: str, splits: Mapping[str, Columns], log: Log) -> Input:
    found = [columns[COLUMN[task]] for columns in different(splits)]
    if task == "text-classification":
        return text_input(cast(list[Texts], found), log)
    if task == "series-classification":
        _, length, channels = np.asarray(found[0]).shape
        return SeriesInput(channels=channels, length=length)
    if not isinstance(found[0], Images):
        _, channels, height, width = np.asarray(found[0]).shape
        return ImageInput(channels=channels, height=height, width=width)
    sizes = np.concatenate([images.sizes for images in found if isinstance(images, Images)])
    width, height = _common_size(sizes, log)
    return ImageInput(channels=found[0].channels, height=height, width=width)


def _common_size(sizes: NDArray[np.int64], log: Log) -> tuple[int, int]:
    """The one width and height, or the median ones; at most `LARGEST`."""
    width, height = np.median(sizes, axis=0)
    shrink = min(1.0, LARGEST / max(width, height))
    common = max(1, round(width * shrink)), max(1, round(height * shrink))
    if (sizes != common).any():
        spans = " x ".join(_span(side) for side in sizes.T)
        log.told.append(
            f"images of {spans} pixels will cover {common[0]} x {common[1]} and be cropped, "
            "unless the recipe has an image_size"
        )
    return common


def _span(values: NDArray[np.int64]) -> str:
    low, high = int(values.min()), int(values.max())
    return f"{low:,}" if low == high else f"{low:,}..{high:,}"
