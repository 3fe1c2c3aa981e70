"""The samples on which a model does worst, as a page can show them: pictures, texts, series."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image

from zoo.diagnosis.examined import Examined
from zoo.judging.worst import Sample
from zoo.report.charts import Chart, small

LARGEST = 160  # pixels a side of a picture
CHANNELS = 4  # of a series that are drawn
LETTERS = 400  # of a text that are shown


@dataclass(frozen=True)
class Shown:
    """A sample with what of it can be seen: a picture as a data URI, or a drawing; texts have their own."""

    sample: Sample
    picture: str = ""
    drawing: Chart | None = None

    @property
    def text(self) -> str:
        """Its beginning, where it is long."""
        text = self.sample.text
        return text if len(text) <= LETTERS else f"{text[:LETTERS]}…"


def show(examined: Examined, worst: tuple[Sample, ...]) -> list[Shown]:
    """Each of the test samples as it can be shown."""
    columns = examined.dataset.splits["test"]
    if "images" in columns:
        return [Shown(each, picture=_picture(columns["images"][each.sample])) for each in worst]
    if "series" not in columns:
        return [Shown(each) for each in worst]
    if "labels" in columns:
        return [Shown(each, drawing=_series(columns["series"][each.sample])) for each in worst]
    forecasts = _forecasts(examined, worst)
    return [Shown(each, drawing=drawn) for each, drawn in zip(worst, forecasts, strict=True)]


def _picture(pixels: Any) -> str:
    values = np.asarray(pixels).transpose(1, 2, 0)  # [H, W, C]
    image = Image.fromarray(values[:, :, 0] if values.shape[2] == 1 else values)
    image.thumbnail((LARGEST, LARGEST))
    content = io.BytesIO()
    image.save(content, "PNG")
    return f"data:image/png;base64,{base64.b64encode(content.getvalue()).decode()}"


def _series(series: Any) -> Chart:
    values = np.asarray(series)  # [T, C]
    values = np.nan_to_num(values[~np.isnan(values).all(axis=1)])
    steps = list(range(len(values)))
    channels = range(min(CHANNELS, values.shape[1]))
    parts = {f"channel-{number}": (steps, values[:, number].tolist()) for number in channels}
    return small(parts, f"a series of {len(steps):,} steps")


@torch.inference_mode()
def _forecasts(examined: Examined, worst: tuple[Sample, ...]) -> Iterator[Chart]:
    """History, what came and what was said to come, of the first channel."""
    module, split = examined.module, examined.prepared.splits["test"]
    device = next(module.parameters()).device
    rows = torch.tensor([each.sample for each in worst], device=device)
    card = module.zoo
    records = examined.task.predict(
        module, split.to(device).take(rows), labels=(), preprocess=card.preprocess
    )
    seen, ahead = card.problem.input.length, card.problem.output.length
    series = np.asarray(examined.dataset.splits["test"]["series"])
    for each, record in zip(worst, records, strict=True):
        window = series[each.sample : each.sample + seen + ahead, 0].tolist()
        said = [step[0] for step in record["forecast"]]
        late = list(range(seen, seen + ahead))
        parts = {
            "past": (list(range(seen)), window[:seen]),
            "came": (late, window[seen:]),
            "said": (late, said),
        }
        yield small(parts, f"{seen} steps, then {ahead} that came and that were said to come")
