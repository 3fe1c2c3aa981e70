"""Data by name or by path."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from zoo.data.dataset import Dataset
from zoo.errors import DataError, PluginError, closest
from zoo.registry import Registry, installed
from zoo.specs import Problem


def load_dataset(source: str, *, registry: Registry | None = None) -> Dataset:
    """The data set of that name, or the user's own at that path.

    A path is a folder of class folders of images, which may stand under train, validation and test; or a
    CSV, TSV, JSON lines or Parquet file with the columns `text` and `label`, `source` and `target`, or
    `text` alone. Raises `DataError` that says what is wrong with it.
    """
    registry = registry or installed()
    path = Path(source).expanduser()
    if source in registry.datasets:
        loaded = registry.dataset_loader(source)()
        if not isinstance(loaded, Dataset):
            kind = type(loaded).__name__
            raise PluginError(source, f"its loader returned a {kind} where a zoo.Dataset was expected")
        return replace(loaded, source=source)
    if path.is_dir():
        from zoo.data.image_folder import read_image_folder

        return replace(read_image_folder(path), source=str(path.resolve()))
    if path.is_file():
        from zoo.data.tables import read_table

        return replace(read_table(path), source=str(path.resolve()))
    close = closest(source, registry.datasets)
    hint = f"did you mean {close[0]}?" if close else f"data sets by name: {', '.join(registry.datasets)}"
    raise DataError(f"no file, folder or data set named {source!r}; {hint}")


def match_labels(dataset: Dataset, problem: Problem, labels: tuple[str, ...], model: str) -> Dataset:
    """The data set with its classes numbered as a model's `labels` are.

    Raises `DataError` where it is for another task, or has classes that the model does not know.
    """
    if dataset.problem.task != problem.task:
        raise DataError(f"{model} does {problem.task}; data {dataset.name!r} is for {dataset.problem.task}")
    if not labels:
        given, known = (getattr(output, "count", None) for output in (dataset.problem.output, problem.output))
        if given != known:
            raise DataError(f"data {dataset.name!r} has {given} classes; {model} tells {known} apart")
    if not labels or dataset.labels == labels:
        return dataset
    strange = [name for name in dataset.labels if name not in labels]
    if strange:
        raise DataError(
            f"data {dataset.name!r} has classes that {model} does not know: {', '.join(strange[:5])}"
            f"{', ...' if len(strange) > 5 else ''}; it knows: {', '.join(labels[:10])}"
        )
    number = np.array([labels.index(name) for name in dataset.labels])
    splits = {
        name: {**columns, "labels": number[np.asarray(columns["labels"])]}
        for name, columns in dataset.splits.items()
    }
    return replace(dataset, splits=splits, problem=dataset.problem.replace(output=problem.output))
