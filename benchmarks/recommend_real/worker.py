"""One case in a process of its own: its peak of memory and the seconds of its steps, as a line of JSON."""

from __future__ import annotations

import dataclasses
import json
import statistics
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil

from recommend_real.cases import CASES, WHOLE, dataset

SKIPPED = 2  # first steps, which are slower
FEW = 6  # steps, from which on memory stays as it is


def main() -> None:
    """Trains the case that the command line names, and prints what came."""
    case = next(case for case in (*CASES, *WHOLE) if case.name == sys.argv[1])
    if "--few" in sys.argv:  # for which few steps will do
        case = dataclasses.replace(case, steps=FEW)
    import torch

    import zoo
    import zoo.training.trainer  # what is imported belongs to no training
    from zoo.training import Callback

    class Clock(Callback):
        """When each step ended, and the peak of memory in each phase."""

        def __init__(self) -> None:
            self.ends: list[float] = []
            self.worked: list[float] = []
            self.busy: list[float] = []
            self.peaks = {"preparing": 0, "steps": 0, "judging": 0, "ending": 0}

        def start(self, *_: Any) -> None:
            self._mark("preparing")
            self.began = time.process_time()

        def step(self, step: Any) -> None:
            float(step.loss)
            self.ends.append(time.perf_counter())
            self.worked.append(time.process_time())
            self.busy.append(_busy())
            self._mark("steps")

        def epoch(self, row: Any) -> None:
            self._mark("judging")

        def end(self, run: Any) -> None:
            self._mark("ending")
            self.ended = time.process_time()

        def _mark(self, phase: str) -> None:
            """The peak of a phase, which ends now."""
            self.peaks[phase] = max(self.peaks[phase], _peak())
            _forget_peak()

    zoo.list_models()
    clock, before = Clock(), psutil.Process().memory_info().rss
    _forget_peak()
    data = dataset(case)
    held = psutil.Process().memory_info().rss
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        run = zoo.train(
            case.model,
            data,
            output=Path(folder, "run"),
            settings=case.settings,
            callbacks=[clock],
        )
        seconds = time.perf_counter() - began
    steps, worked, busy = _gaps(clock.ends), _gaps(clock.worked), _gaps(clock.busy)
    others = round(max(0.0, sum(busy) - sum(worked)) / sum(steps), 3)  # processors that others took
    told = {
        "name": case.name,
        "model": case.model,
        "task": case.task,
        "size": case.size,
        "batch": case.batch,
        "classes": case.classes,
        "samples": case.samples,
        "precision": run.record.precision,
        "threads": torch.get_num_threads(),
        "before": before,
        "held": held,
        "peaks": clock.peaks,
        "peak": max(_peak(), *clock.peaks.values()),
        "step_seconds": statistics.median(steps),
        "step_cpu_seconds": statistics.median(worked),
        "others": others,
        "steps": [round(step, 5) for step in steps],
        "seconds": seconds,
        "run_seconds": run.record.seconds,
        "run_cpu_seconds": round(clock.ended - clock.began, 3),
        "predicted": {name: run.record.predicted.get(name) for name in ("memory_bytes", "seconds")},
    }
    print(json.dumps(told))


def _gaps(ends: list[float]) -> list[float]:
    """How long each step took, but for the first ones."""
    return [after - before for before, after in pairwise(ends)][SKIPPED:]


def _busy() -> float:
    """Seconds that the machine's processors have worked, all together."""
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - times.iowait)


def _forget_peak() -> None:
    """The peak of the process's memory counts from now (proc(5))."""
    Path("/proc/self/clear_refs").write_text("5")


def _peak() -> int:
    """The most of this process that was in memory, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    raise SystemExit("no VmHWM in /proc/self/status")


if __name__ == "__main__":
    main()
