"""Time series to tensors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from zoo.data.dataset import Dataset
from zoo.errors import DataError
from zoo.paths import is_file
from zoo.specs import Recipe, SeriesInput, SeriesPreprocess


def fit_series(dataset: Dataset, recipe: Recipe) -> SeriesPreprocess:
    """Length as the data has it, unless the recipe says otherwise; statistics of the training split."""
    native = dataset.problem.input
    if not isinstance(native, SeriesInput):
        raise DataError(f"data {dataset.name!r} holds no series")
    values = np.asarray(dataset.splits["train"]["series"], dtype=np.float64).reshape(-1, native.channels)
    values = values[~np.isnan(values).any(axis=1)]  # what comes after the end of shorter series
    trained = recipe.normalize == "train"
    return SeriesPreprocess(
        length=recipe.length or native.length,
        channels=native.channels,
        normalize=recipe.normalize,
        mean=tuple(map(float, values.mean(axis=0))) if trained else (0.0,),
        std=tuple(max(float(std), 1e-8) for std in values.std(axis=0)) if trained else (1.0,),
    )


def encode_series(series: np.ndarray, preprocess: SeriesPreprocess) -> Tensor:
    """`[N, T, C]` cut or zero-padded to the model's length and standardised as the preprocessing says.

    NaN after the end of a series becomes zero too, and counts for nothing before.
    """
    values = torch.as_tensor(np.asarray(series, dtype=np.float32))
    ended = values.isnan()
    if preprocess.normalize == "sample" and bool(ended.any()):
        values = _standardized(values)
    elif preprocess.normalize == "sample":
        mean, std = values.mean(dim=1, keepdim=True), values.std(dim=1, keepdim=True, correction=0)
        values = (values - mean) / std.clamp_min(1e-8)
    elif preprocess.normalize == "train":
        values = (values - torch.tensor(preprocess.mean)) / torch.tensor(preprocess.std)
    values = values.masked_fill(ended, 0.0)[:, : preprocess.length]
    missing = preprocess.length - values.shape[1]
    return torch.nn.functional.pad(values, (0, 0, 0, missing)) if missing else values


def _standardized(values: Tensor) -> Tensor:
    """Each series by the mean and deviation of its own steps, those before its end."""
    mean = values.nanmean(dim=1, keepdim=True)
    squares = (values - mean).square().nanmean(dim=1, keepdim=True)
    return (values - mean) / squares.sqrt().clamp_min(1e-8)


def read_series(items: Sequence[str], channels: int) -> np.ndarray:
    """Series given as `.npy` files or as numbers in a text, as float32 `[N, T, C]`."""
    rows = [_read_one(item, channels) for item in items]
    if len({row.shape for row in rows}) > 1:
        raise DataError(f"the series differ in length: {sorted({len(row) for row in rows})}")
    return np.stack(rows)


def _read_one(item: str, channels: int) -> np.ndarray:
    path = Path(item)
    try:
        if path.suffix == ".npy":
            values = np.load(path, allow_pickle=False)
        elif is_file(path):  # a series written out is longer than the name of any
            values = np.loadtxt(path, delimiter="," if "," in path.read_text() else None)
        else:
            values = np.array([float(number) for number in item.replace(",", " ").split()])
    except (OSError, ValueError) as error:
        raise DataError(f"{item!r} is neither a file of numbers nor numbers: {error}") from None
    values = np.asarray(values, dtype=np.float32)
    if values.size == 0 or values.size % channels:
        raise DataError(f"{item!r}: {values.size} numbers do not make a series of {channels} channels")
    return _without_gaps(item, values.reshape(-1, channels))


def _without_gaps(item: str, values: np.ndarray) -> np.ndarray:
    """The series `[T, C]`; raises `DataError` where it has gaps: NaN stands for what comes after its end."""
    known = np.isfinite(values)
    end = int(np.flatnonzero(known.any(axis=1)).max(initial=-1)) + 1
    if not end or not known[:end].all() or np.isinf(values[end:]).any():
        raise DataError(f"{item!r}: {(~known).sum()} of {values.size} numbers are not finite; fill them in")
    return values
