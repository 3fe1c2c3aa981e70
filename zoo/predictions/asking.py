"""The samples of a data set as questions to a model, as if a user had given them one by one."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import Any, cast

import numpy as np
from PIL import Image

from zoo.data.dataset import Dataset
from zoo.data.items import Item
from zoo.errors import DataError, ZooError


def split_items(dataset: Dataset, split: str, *, task: str, model: str) -> Iterator[Item]:
    """Every sample of a split, its answer left out; of a forecast's, all steps as a single history.

    `row` counts from 1. Raises `DataError` for data of another task than the model's, `ZooError` where there
    is no such split.
    """
    if dataset.problem.task != task:
        raise DataError(f"{model} does {task}; data {dataset.name!r} is for {dataset.problem.task}")
    if split not in dataset.splits:
        raise ZooError(f"data {dataset.name!r} has no split {split!r}; it has: {', '.join(dataset.splits)}")
    columns = dataset.splits[split]
    if task == "forecasting":
        return iter([Item(f"{dataset.name} ({split})", _numbers(columns["series"]))])
    for name in ("text", "source"):
        if name in columns:
            texts = cast(Sequence[str], columns[name])
            return (Item(text, text, row) for row, text in enumerate(texts, start=1))
    name, written = ("images", _encoded) if "images" in columns else ("series", _numbers)
    values = (columns[name][row] for row in range(len(columns[name])))
    return (Item(f"row {row}", written(value), row) for row, value in enumerate(values, start=1))


def _numbers(series: Any) -> str:
    """Steps `[T, C]` as a text."""
    return " ".join(map(repr, np.asarray(series, dtype=np.float64).ravel().tolist()))


def _encoded(pixels: Any) -> bytes:
    """Pixels `[C, H, W]` as a PNG."""
    values = np.asarray(pixels).transpose(1, 2, 0)
    content = io.BytesIO()
    Image.fromarray(values[:, :, 0] if values.shape[2] == 1 else values).save(content, "PNG")
    return content.getvalue()
