"""Golden outputs: what weights must answer to fixed samples, to catch a wrong remap or preprocessing.

The samples are raw: they go through the weights' own preprocessing, as a user's would.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.random import PCG64, Generator
from torch import nn

from zoo.data.dataset import Columns
from zoo.errors import WeightsError
from zoo.specs import Classes, ImageInput, Preprocess, Problem, SeriesInput, SeriesOutput, TokenInput, Vector
from zoo.tasks.base import Task

SAMPLES, KEPT, SEED = 2, 6, 0
TOLERANCE = 1e-3
TEXTS = ("def parse(text): return [int(part) for part in text.split()]", "3rd of May 1987, and a word more")


def golden_columns(problem: Problem) -> Columns:
    """Two fixed samples for a problem, raw, as `zoo.data.dataset.COLUMNS` has them."""
    rng = Generator(PCG64(SEED))
    labels = np.zeros(SAMPLES, dtype=np.int64)
    match problem.input:
        case ImageInput(channels=channels, height=height, width=width):
            pixels = rng.integers(256, size=(SAMPLES, channels, height, width)).astype(np.uint8)
            return {"images": pixels, "labels": labels}
        case SeriesInput(channels=channels, length=length):
            if isinstance(problem.output, SeriesOutput):
                length += problem.output.length + SAMPLES - 1
                walk = rng.integers(-8, 9, size=(length, channels)).cumsum(axis=0) / 8
                return {"series": walk.astype(np.float32)}
            walks = rng.integers(-8, 9, size=(SAMPLES, length, channels)).cumsum(axis=1) / 8
            return {"series": walks.astype(np.float32), "labels": labels}
        case TokenInput(length=length):
            if isinstance(problem.output, Classes | Vector):
                return {"text": TEXTS, "labels": labels}
            if problem.task == "seq2seq":
                return {"source": TEXTS, "target": [text[:8] for text in TEXTS]}
            return {"text": [" ".join(TEXTS) * (1 + SAMPLES * length // 4)]}


@torch.inference_mode()
def golden_output(
    model: nn.Module, task: Task, problem: Problem, preprocess: Preprocess
) -> list[list[float]]:
    """The first numbers of the model's output for each of the two samples."""
    device = next(model.parameters()).device
    split = task.encode(golden_columns(problem), preprocess, problem, training=False)
    batch = {name: column.to(device) for name, column in split.take(torch.arange(SAMPLES)).items()}
    output = model.eval()(*task.inputs(batch))
    return [[round(value, 5) for value in row[:KEPT]] for row in output.flatten(1).float().tolist()]


def check_golden(
    model: nn.Module, task: Task, problem: Problem, preprocess: Preprocess, golden: dict[str, Any], name: str
) -> None:
    """Raises `WeightsError` where the model does not answer as its weights' record says."""
    found = np.array(golden_output(model, task, problem, preprocess))
    expected = np.array(golden["output"])
    worst = float(np.abs(found - expected).max()) if found.shape == expected.shape else float("inf")
    if not worst <= TOLERANCE * max(1.0, float(np.abs(expected).max())):
        raise WeightsError(
            f"{name}: the model does not give the output that its record promises (off by {worst:.3g}); "
            "the weights, their preprocessing or the architecture have changed"
        )
