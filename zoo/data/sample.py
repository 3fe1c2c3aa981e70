"""One sample as a file: an image, a text, a series."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from zoo.data.dataset import COLUMNS, Dataset
from zoo.errors import DataError
from zoo.paths import told_of_new


def write_sample(dataset: Dataset, split: str, index: int, output: Path) -> str:
    """Writes what a model is shown of a sample: PNG, UTF-8 text, or CSV with a line for each time step.

    Returns a line that says what was written, with the answer where there is one. Raises `DataError` for
    a split or sample that does not exist, or a file that does.
    """
    if split not in dataset.splits:
        raise DataError(f"data {dataset.name!r} has no split {split!r}; it has: {', '.join(dataset.splits)}")
    first, *others = COLUMNS[dataset.problem.task]
    columns = dataset.splits[split]
    count = len(columns[first])
    forecasting = dataset.problem.task == "forecasting"
    length = getattr(dataset.problem.input, "length", 0)
    if forecasting:
        count = max(0, count - length + 1)
    if index >= count:
        raise DataError(f"the {split} split of {dataset.name!r} has {count:,} samples; there is no {index}")
    value = columns[first][index : index + length] if forecasting else columns[first][index]
    with told_of_new(output, another="--output", error=DataError), output.open("xb") as file:
        if first == "images":
            pixels = np.asarray(value).transpose(1, 2, 0)  # [H, W, C]
            Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).save(file, "PNG")
        elif isinstance(value, str):
            file.write(value.encode())
        else:
            steps = np.asarray(value)
            np.savetxt(file, steps[~np.isnan(steps).all(axis=1)], delimiter=",", fmt="%.7g")
    told = f"{output}: sample {index} of {dataset.name} ({split})"
    answer = columns[others[0]][index] if others else None
    if others == ["labels"] and answer is not None:
        answer = dataset.labels[int(answer)] if dataset.labels else answer
    return told if answer is None else f"{told}, answer {str(answer)!r}"
