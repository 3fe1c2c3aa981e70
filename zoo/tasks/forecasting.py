"""Forecasting: how a time series goes on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo.data.dataset import Columns, Dataset
from zoo.data.splits import Batch, WindowSplit, batched, in_order
from zoo.errors import DataError
from zoo.specs import (
    ModelSpec,
    Preprocess,
    Problem,
    Recipe,
    SeriesInput,
    SeriesOutput,
    SeriesPreprocess,
)
from zoo.tasks.base import Baseline, Prepared, Scores
from zoo.tasks.series import encode_series, fit_series, read_series

LEVELS = (0.1, 0.5, 0.9)  # of the quantiles that a prediction tells: between the outer ones lie 80%


@dataclass(frozen=True)
class Forecasting:
    """The next H steps from the last T: absolute error, scaled by the naive forecast's (MASE)."""

    name: str = "forecasting"

    def fit(self, dataset: Dataset, spec: ModelSpec, recipe: Recipe) -> Preprocess:
        """Values scaled by the training split's mean and deviation."""
        return fit_series(dataset, recipe.replace(normalize="train"))

    def problem(self, dataset: Dataset, preprocess: Preprocess) -> Problem:
        """A history of the preprocessing's length, the horizon of the data."""
        if not isinstance(dataset.problem.output, SeriesOutput):
            raise DataError(f"data {dataset.name!r} has no horizon to forecast")
        preprocess = cast(SeriesPreprocess, preprocess)
        return dataset.problem.replace(
            input=SeriesInput(channels=preprocess.channels, length=preprocess.length)
        )

    def encode(
        self, columns: Columns, preprocess: Preprocess, problem: Problem, *, training: bool
    ) -> WindowSplit:
        """Windows of history and horizon, one step apart."""
        preprocess, output = cast(SeriesPreprocess, preprocess), cast(SeriesOutput, problem.output)
        values = np.asarray(columns["series"], dtype=np.float32)
        whole = preprocess.replace(length=len(values))
        stream = encode_series(values[None], whole)[0]  # [T, C]
        return WindowSplit(stream, {"history": preprocess.length, "future": output.length}, stride=1)

    def augment(self, batch: Batch, recipe: Recipe, problem: Problem) -> Batch:
        """Nothing is varied."""
        return batch

    def inputs(self, batch: Batch) -> tuple[Tensor, ...]:
        """The history `[B, T, C]`."""
        return (batch["history"],)

    def loss(self, output: Tensor, batch: Batch, recipe: Recipe) -> Tensor:
        """Mean absolute error of `forecast[B, H, C]`, which is what MASE counts."""
        return F.l1_loss(output.float(), batch["future"])

    def weight(self, batch: Batch, recipe: Recipe) -> Tensor:
        """The values of the future."""
        return torch.tensor(float(batch["future"].numel()), device=batch["future"].device)

    def scores(self, output: Tensor, batch: Batch, scale: float) -> Scores:
        """`mase` (Hyndman 2006) and `mae`, both of the scaled values."""
        errors = (output.float() - batch["future"]).abs().mean(dim=(1, 2))
        ones = torch.ones_like(errors)
        return {"mase": (errors / scale, ones), "mae": (errors, ones)}

    def details(self, output: Tensor, batch: Batch) -> dict[str, Tensor]:
        """`errors` `[B, H]`: absolute ones of each step, of the scaled values."""
        return {"errors": (output.float() - batch["future"]).abs().mean(dim=2)}

    def scale(self, dataset: Dataset) -> float:
        """Mean absolute one-season change of the training split, in units of its deviation."""
        values = np.asarray(dataset.splits["train"]["series"], dtype=np.float64)
        change = np.abs(values[dataset.season :] - values[: -dataset.season]) / np.maximum(
            values.std(axis=0), 1e-8
        )
        return max(float(change.mean()), 1e-12)

    def baseline(self, prepared: Prepared, split: str) -> Baseline:
        """The better of two naive forecasts: the last value, and the last season again."""
        errors = {"last value": 0.0, "last season": 0.0}
        windows = prepared.splits[split]
        scale, season = self.scale(prepared.dataset), prepared.dataset.season
        for batch in in_order(windows, 1024):
            history, future = batch["history"], batch["future"]
            steps = torch.arange(future.shape[1])
            forecasts = {
                "last value": history[:, -1:],
                "last season": history[:, history.shape[1] - season + steps % season],
            }
            for name, forecast in forecasts.items():
                errors[name] += float((future - forecast).abs().mean(dim=(1, 2)).sum()) / scale
        name = min(errors, key=errors.__getitem__)
        return Baseline(name=f"naive forecast ({name})", metrics={"mase": errors[name] / len(windows)})

    def read(self, items: Sequence[str], preprocess: Preprocess, batch_size: int) -> Iterator[Batch]:
        """Histories, as files of numbers or as numbers."""
        preprocess = cast(SeriesPreprocess, preprocess)
        for chunk in batched(items, batch_size):
            series = read_series(chunk, preprocess.channels)
            steps = series.shape[1]
            if steps < preprocess.length:
                raise DataError(f"the history has {steps} steps; the model needs {preprocess.length}")
            if not np.isfinite(series[:, -1]).all():
                raise DataError("the history ends with steps that are not known; leave them out")
            yield {"history": encode_series(series[:, -preprocess.length :], preprocess)}

    @torch.no_grad()
    def predict(
        self,
        model: nn.Module,
        batch: Batch,
        *,
        labels: Sequence[str],
        preprocess: Preprocess,
        levels: Sequence[float] = LEVELS,
        seed: int = 0,
        **options: Any,
    ) -> list[dict[str, Any]]:
        """The forecast `[H][C]`, in the data's own units; its quantiles, too, where the model knows them.

        Such a model has a method `quantiles(history[B, T, C], levels, seed=...)` that gives `[Q, B, H, C]`.
        """
        preprocess, history = cast(SeriesPreprocess, preprocess), batch["history"]
        found = [model(history)[None]]
        quantiles = getattr(model, "quantiles", None)
        if callable(quantiles):
            found.append(quantiles(history, levels, seed=seed))
        scale, level = torch.tensor(preprocess.std), torch.tensor(preprocess.mean)
        values = torch.cat(found).float().cpu() * scale + level  # [1 + Q, B, H, C]
        forecasts, *spread = values.tolist()
        if not spread:
            return [{"forecast": rows} for rows in forecasts]
        names = [f"{share:g}" for share in levels]
        return [
            {"forecast": rows, "quantiles": dict(zip(names, those, strict=True))}
            for rows, *those in zip(forecasts, *spread, strict=True)
        ]


forecasting = Forecasting()
