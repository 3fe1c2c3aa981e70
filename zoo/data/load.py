"""Data by name or by path."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from zoo.data.dataset import Dataset
from zoo.errors import DataError, PluginError, closest
from zoo.paths import exists
from zoo.registry import Registry, installed
from zoo.specs import Problem, Vector


def load_dataset(
    source: str,
    *,
    task: str | None = None,
    columns: Mapping[str, str | tuple[str, ...]] | None = None,
    group_by: str | None = None,
    strict: bool = False,
    history: int | None = None,
    horizon: int | None = None,
    seed: int = 0,
    judge: str | None = None,
    registry: Registry | None = None,
) -> Dataset:
    """The data set of that name, or the user's own at that path or `hf://owner/name`.

    `zoo.data.sources` lists what a path may hold. `columns` says which column is what (`{"image": "path",
    "label": "species"}`) and `task` what it is for, where guessing would be wrong; `dataset.reading`
    tells what was guessed. Splits are those given, else drawn by class with `seed`; rows that share a
    value of the column `group_by` stay together. Samples that cannot be used are left out and named, or
    refused where `strict`. `history` and `horizon` are the steps that a forecast sees and gives.

    `judge` names the only split that is wanted, to judge a model on: where the data has none to train on, it
    stands for the others too; "all" is that of all samples, where no splits are given. Raises `DataError`
    that says what is wrong, where, and what to do.
    """
    registry = registry or installed()
    if source in registry.datasets:
        return _by_name(source, registry, task, own=columns or group_by or history or horizon)
    path = Path(source).expanduser()
    if not source.startswith("hf://") and not exists(path):
        close = closest(source, registry.datasets)
        hint = f"did you mean {close[0]}?" if close else f"data sets by name: {', '.join(registry.datasets)}"
        raise DataError(f"no file, folder or data set named {source!r}; {hint}")
    from zoo.data.assemble import assemble
    from zoo.data.request import Log, Request
    from zoo.data.roles import find_roles, told_roles
    from zoo.data.sources import open_source

    given = {
        role: (names,) if isinstance(names, str) else tuple(names) for role, names in (columns or {}).items()
    }
    if group_by:
        given["group"] = (group_by,)
    table = open_source(source)
    roles = find_roles(table, task=task, columns=given)
    log = Log(source, strict)
    log.told += told_roles(table, roles, given)
    wanted = {"task": task, "columns": given, "seed": seed, "strict": strict}
    wanted |= {"history": history, "horizon": horizon}
    options = {name: value for name, value in wanted.items() if value}
    dataset = assemble(table, roles, Request(log, seed, options, judge))
    return replace(dataset, source=source if source.startswith("hf://") else str(path.resolve()))


def _by_name(source: str, registry: Registry, task: str | None, *, own: Any) -> Dataset:
    loaded = registry.dataset_loader(source)()
    if not isinstance(loaded, Dataset):
        kind = type(loaded).__name__
        raise PluginError(source, f"its loader returned a {kind} where a zoo.Dataset was expected")
    if task is not None and task != loaded.problem.task:
        raise DataError(f"data {source!r} is for {loaded.problem.task}, not for {task}")
    if own:
        raise DataError(
            f"data {source!r} is read in one way only; leave out --columns, --group-by, --history, --horizon"
        )
    return replace(loaded, source=source)


def match_labels(dataset: Dataset, problem: Problem, labels: tuple[str, ...], model: str) -> Dataset:
    """The data set with its classes numbered as a model's `labels` are.

    Raises `DataError` where it is for another task, or has classes that the model does not know.
    """
    if dataset.problem.task != problem.task:
        raise DataError(f"{model} does {problem.task}; data {dataset.name!r} is for {dataset.problem.task}")
    if isinstance(problem.output, Vector):
        raise DataError(f"{model} gives embeddings and knows no classes; train it on {dataset.name!r} first")
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
    renumbered = {
        id(columns): {**columns, "labels": number[np.asarray(columns["labels"])]}
        for columns in dataset.splits.values()
    }
    splits = {name: renumbered[id(columns)] for name, columns in dataset.splits.items()}
    return replace(dataset, splits=splits, problem=dataset.problem.replace(output=problem.output))
