"""How fast a training goes, how long it waits for its data, and what memory it takes."""

from __future__ import annotations

import time

import psutil
import torch

from zoo.training.loop import Step


class Meter:
    """Figures of the time since `start`, of which nothing but `Step` need be told.

    It never waits for the device.
    """

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._device = torch.device("cpu")
        self.start()

    def start(self) -> None:
        """Begins anew: what came before does not count, such as an evaluation."""
        self._since = time.perf_counter()
        self._samples, self._waited = 0, 0.0

    @property
    def seconds(self) -> float:
        """How long ago it began."""
        return time.perf_counter() - self._since

    def step(self, step: Step) -> None:
        """Counts a step."""
        self._samples += step.samples
        self._waited += step.waited
        self._device = step.loss.device

    def row(self) -> dict[str, float]:
        """What a line of `metrics.jsonl` says of it.

        `samples_per_second`; `waiting`, the share of the time in which the next batch was not there yet;
        `memory_bytes`: on CUDA the most that was set aside on the device, elsewhere what of the process is
        in memory now.
        """
        seconds = max(self.seconds, 1e-9)
        return {
            "samples_per_second": round(self._samples / seconds, 1),
            "waiting": round(min(1.0, self._waited / seconds), 4),
            "memory_bytes": self._memory_bytes(),
        }

    def _memory_bytes(self) -> int:
        if self._device.type == "cuda":
            return int(torch.cuda.max_memory_reserved(self._device))
        return int(self._process.memory_info().rss)
