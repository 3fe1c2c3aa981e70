"""The samples on which a model does worst: where they are, what is true, what it says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from zoo.data.dataset import Columns
from zoo.data.documents import Documents
from zoo.data.images import Images
from zoo.data.splits import Split
from zoo.data.table import Texts
from zoo.specs import SeriesOutput, TextPreprocess
from zoo.tasks.base import Task
from zoo.tokenizers import open_tokenizer


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One sample: its place in the split, the file or row it is from, its answer, the model's, its loss.

    `sample` is what `zoo datasets sample --index` takes; what a task does not have is empty.
    """

    sample: int
    loss: float
    where: str = ""
    text: str = ""
    label: str = ""
    answer: str = ""


def hardest(losses: NDArray[np.float64], count: int, *, apart: int = 1) -> list[int]:
    """The rows of the `count` largest losses, the largest first; of rows nearer than `apart` only one."""
    chosen: list[int] = []
    for row in np.argsort(-losses, kind="stable").tolist():
        if len(chosen) == count:
            break
        if apart == 1 or all(abs(row - other) >= apart for other in chosen):
            chosen.append(row)
    return chosen


@torch.inference_mode()
def worst_of(
    module: Any, task: Task, split: Split, columns: Columns, losses: NDArray[np.float64], count: int
) -> tuple[Sample, ...]:
    """The `count` samples of `split` with the largest `losses`, the worst first; `columns` are its raw ones.

    `split` must be where the module is. Of forecasts whose futures overlap the worst one stands for all.
    """
    if not count:
        return ()
    card = module.zoo
    apart = card.problem.output.length if isinstance(card.problem.output, SeriesOutput) else 1
    rows = hardest(losses, count, apart=apart)
    batch = split.take(torch.tensor(rows, device=next(module.parameters(), torch.empty(0)).device))
    told: list[dict[str, str]] = [{} for _ in rows]
    if {"labels", "target"} & columns.keys():  # else a sample is a window, and no row of the columns
        records = task.predict(module, batch, labels=card.labels, preprocess=card.preprocess)
        pairs = zip(rows, records, strict=True)
        told = [_told(columns, row, record, card.labels) for row, record in pairs]
    elif isinstance(card.preprocess, TextPreprocess):
        tokenizer = open_tokenizer(card.preprocess)
        told = [{"text": tokenizer.decode(window)} for window in batch["tokens"].tolist()]
    return tuple(
        Sample(sample=row, loss=float(losses[row]), **more) for row, more in zip(rows, told, strict=True)
    )


def where(columns: Columns, row: int) -> str:
    """The file that a sample is from, or the row of its table; nothing where neither is known."""
    first = next(iter(columns.values()))
    if isinstance(first, Images):
        place = int(first.rows[row])
        cell = first.cells[place]
        return f"row {place + 1}" if isinstance(cell, bytes) else str(cell)
    if isinstance(first, Texts):
        return f"row {int(first.rows[row]) + 1}"
    if isinstance(first, Documents):
        return str(first.passages[row].path)
    return ""


def _told(columns: Columns, row: int, record: Mapping[str, Any], labels: Sequence[str]) -> dict[str, str]:
    """Where a sample is from, what is true of it and what the model says, in words."""
    if "target" in columns:
        return {
            "where": where(columns, row),
            "text": str(columns["source"][row]),
            "label": str(columns["target"][row]),
            "answer": str(record["text"]),
        }
    number = int(np.asarray(columns["labels"])[row])
    text = {"text": str(columns["text"][row])} if "text" in columns else {}
    label = labels[number] if labels else str(number)
    return {"where": where(columns, row), **text, "label": label, "answer": record["label"]}
