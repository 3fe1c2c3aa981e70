"""What an exported file costs and reaches: the time of a batch, and the metric on the test split."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from zoo.build import Card
from zoo.evaluation import means, score
from zoo.exporting.formats import Answer
from zoo.exporting.samples import Samples
from zoo.registry import installed

SCORED = 1000  # test samples at most
SECONDS, RUNS = 1.0, 50  # for each answer, at most
BATCH = 64


class _Answering(nn.Module):
    """A file's answers as a module that can be judged."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self._answer = answer

    def forward(self, *inputs: Tensor) -> Tensor:
        """As the file answers."""
        return self._answer(inputs)


def score_answers(answer: Answer, card: Card, samples: Samples) -> dict[str, Any]:
    """What `zoo.exporting.Measured` says of the metric, on test samples; nothing where there are none."""
    if samples.judged is None:
        return {}
    registry, split = installed(), samples.judged
    spec = registry.task(card.problem.task)
    rows = torch.arange(min(SCORED, len(split)))
    found = score(
        _Answering(answer),
        split,
        registry.task_implementation(card.problem.task),
        scale=samples.scale,
        device=torch.device("cpu"),
        batch_size=BATCH,
        rows=rows,
    )
    value = means(found)[spec.metric]
    return {"metric": spec.metric, "value": value, "unit": spec.unit, "scored": len(rows)}


@torch.inference_mode()
def time_in_turn(
    answers: Sequence[Answer],
    inputs: tuple[Tensor, ...],
    *,
    clock: Callable[[], float] = time.perf_counter,
) -> list[float]:
    """The median milliseconds of each answer to the inputs, by that clock, asked in turn."""
    for answer in answers:
        answer(inputs)
    taken: list[list[float]] = [[] for _ in answers]
    end = time.perf_counter() + SECONDS * len(answers)
    while len(taken[0]) < RUNS and (not taken[0] or time.perf_counter() < end):
        for answer, times in zip(answers, taken, strict=True):
            start = clock()
            answer(inputs)
            times.append(clock() - start)
    return [1000 * statistics.median(times) for times in taken]
