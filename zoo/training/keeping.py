"""What a finished training teaches the next prediction on this machine."""

from __future__ import annotations

import datetime
import os
from typing import Any

from zoo.data.dataset import Dataset
from zoo.recommender.outcomes import Outcome, keep_outcome
from zoo.registry import Model
from zoo.runs import Run, RunRecord
from zoo.specs import TaskSpec
from zoo.training.checkpoints import memory_peak

SPARE = 0.5  # processors' worth of other work beside which times still count
GROWN = 1.2  # times what is in memory, up to which a process's peak is no earlier training's


class Witness:
    """Stands by from before a training, and keeps what came of it when it is finished."""

    def __init__(self) -> None:
        import psutil

        resident = psutil.Process().memory_info().rss
        self._fresh = (memory_peak(0) or 0) <= GROWN * resident

    def keep(
        self, run: Run, dataset: Dataset, model: Model, task: TaskSpec, *, hurried: bool = False
    ) -> None:
        """Adds the pair of prediction and outcome to this machine's; nothing where nothing was predicted.

        The score of a training that was `hurried`, to end in time, is none to learn from.
        """
        record = run.record
        basis, foretold = record.predicted.get("basis"), record.predicted.get("score") is not None
        if record.state not in ("finished", "trial") or basis is None:
            return
        keep_outcome(
            Outcome(
                device=basis["device"],
                model=record.model,
                family=model.spec.family,
                problem=dataset.problem,
                weights=record.weights.rpartition(".")[2] if record.weights else "",
                dataset=dataset.name,
                precision=record.precision,
                batch_size=record.recipe.batch_size,
                calibrated=basis["calibrated"],
                predicted_seconds=_predicted(record, "seconds", basis["seconds_factor"]),
                seconds=_seconds(record),
                predicted_memory_bytes=_predicted(record, "memory_bytes", basis["memory_factor"]),
                memory_bytes=self._memory(record),
                score=record.metrics.get(task.metric) if foretold and not hurried else None,
                ended=datetime.date.today().isoformat(),
            )
        )

    def _memory(self, record: RunRecord) -> float | None:
        """A GPU's peak; the process's where no earlier training can have been the reason for it."""
        if record.device.startswith("cpu"):
            return memory_peak(0) or None if self._fresh else None
        return record.peak_memory_bytes or None


def _predicted(record: RunRecord, name: str, factor: float) -> float | None:
    estimate: dict[str, Any] | None = record.predicted.get(name)
    return float(estimate["value"]) / factor if estimate and estimate["value"] > 0 else None


def _seconds(record: RunRecord) -> float | None:
    """Of all the steps that were planned; None where other work on the machine spoilt them."""
    if not record.steps or not record.seconds or _is_busy():
        return None
    return float(record.seconds * record.predicted["steps"] / record.steps)


def _is_busy() -> bool:
    """Whether more wants to run here than there are processors."""
    if not hasattr(os, "getloadavg"):
        return False
    return os.getloadavg()[0] > (os.cpu_count() or 1) + SPARE
