"""Experiment trackers, by way of accelerate: TensorBoard, and whatever else it knows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec
import torch
from accelerate import PartialState
from accelerate.tracking import LOGGER_TYPE_TO_CLASS, get_available_trackers
from accelerate.utils import LoggerType
from torch import Tensor

from zoo.errors import TrainingError, describe_error, hint
from zoo.runs import Run
from zoo.specs import to_builtins
from zoo.training.callbacks import Callback
from zoo.training.loop import Step

LOSS_STEPS = 10  # of which one's loss and learning rate are logged
FLUSH_SECONDS = 10.0  # that losses stay on the device at most: to read them waits for it
PROJECT = "torch-zoo"
EXTRAS = {"tensorboard": "'torch-zoo[tensorboard]'"}  # what pip installs it by, where not by its own name

Warn = Callable[[str], None]


def make_trackers(names: Iterable[str], warn: Warn) -> list[Callback]:
    """A tracker for each name, once; `warn` is told when one stops working.

    Raises `TrainingError` for one that accelerate does not know, or that is not installed.
    """
    chosen = list(dict.fromkeys(names))
    for name in chosen:
        _check(name)
    return [Tracker(name, warn) for name in chosen]


def _check(name: str) -> None:
    if name not in LOGGER_TYPE_TO_CLASS:
        raise TrainingError(f"no tracker named {name!r}; {hint(name, sorted(LOGGER_TYPE_TO_CLASS))}")
    if name in map(str, LoggerType) and name not in map(str, get_available_trackers()):
        raise TrainingError(
            f"tracker {name!r} is not installed; install it: pip install {EXTRAS.get(name, name)}"
        )


class Tracker(Callback):
    """Logs a run's settings, every evaluation, and the loss and learning rate of some steps.

    What a tracker keeps in files goes into a folder of its name in the run. One that fails once the
    training goes on is given up with one warning.
    """

    def __init__(self, name: str, warn: Warn) -> None:
        self._name, self._warn = name, warn
        self._tracker: Any = None
        self._waiting: list[tuple[int, Tensor, float]] = []
        self._flushed = time.perf_counter()

    def start(self, run: Run, total_steps: int, first_step: int) -> None:
        """Opens it, and logs the settings; raises `TrainingError` where that does not work."""
        if not PartialState().is_main_process:
            return
        kind = LOGGER_TYPE_TO_CLASS[self._name]
        try:
            if kind.requires_logging_directory:  # which is where the folder of that name is made
                self._tracker = kind(self._name, str(run.path))
            else:
                self._tracker = kind(PROJECT)
            self._tracker.start()
            self._tracker.store_init_configuration(settings_of(run))
        except Exception as error:
            raise TrainingError(
                f"tracker {self._name!r} does not start: {describe_error(error)}; mend that, or leave out "
                f"--log-with {self._name}"
            ) from error

    def step(self, step: Step) -> None:
        """Keeps the loss of some steps, and logs them from time to time."""
        if self._tracker is None or step.number % LOSS_STEPS:
            return
        self._waiting.append((step.number, step.loss, step.lr))
        if time.perf_counter() - self._flushed > FLUSH_SECONDS:
            self._log_losses()

    def epoch(self, row: Mapping[str, Any]) -> None:
        """Logs what an evaluation found."""
        self._log_losses()
        figures = {
            name: row[name] for name in ("samples_per_second", "waiting", "memory_bytes") if name in row
        }
        found = {f"validation/{name}": value for name, value in row["validation"].items()}
        self._try(lambda tracker: tracker.log({**found, "epoch": row["epoch"], **figures}, step=row["step"]))

    def end(self, run: Run) -> None:
        """Logs what the test found, and closes it."""
        self._log_losses()
        record = run.record
        found = {f"test/{name}": value for name, value in record.metrics.items()}
        if found:
            self._try(lambda tracker: tracker.log(found, step=record.steps))
        self._try(lambda tracker: tracker.finish())

    def _log_losses(self) -> None:
        waiting, self._waiting = self._waiting, []
        self._flushed = time.perf_counter()
        if not waiting:
            return
        losses = torch.stack([loss.detach() for _, loss, _ in waiting]).tolist()
        for (number, _, lr), loss in zip(waiting, losses, strict=True):
            self._try(lambda tracker, step=number, loss=loss, lr=lr: _log_step(tracker, step, loss, lr))

    def _try(self, ask: Callable[..., None]) -> None:
        """Asks it to do something, if it still works."""
        if self._tracker is None:
            return
        try:
            ask(self._tracker)
        except Exception as error:  # whatever it is, the training is worth more
            self._tracker = None
            self._warn(
                f"tracker {self._name!r} failed and is not used any more: {describe_error(error)}; "
                "the run itself goes on"
            )


def _log_step(tracker: Any, step: int, loss: float, lr: float) -> None:
    tracker.log({"train/loss": loss, "train/lr": lr}, step=step)


def settings_of(run: Run) -> dict[str, bool | int | float | str]:
    """A run's model, data and recipe, with every default, as plain values."""
    record = run.record
    told: dict[str, Any] = {
        "run": str(run.path),
        "model": record.model,
        "data": record.data.get("name", ""),
        "weights": record.weights,
        "device": record.device,
        "precision": record.precision,
        **{f"option.{name}": value for name, value in record.options.items()},
    }
    recipe = record.recipe
    for name in recipe.__struct_fields__:
        if name not in ("options", "precision"):
            told[name] = to_builtins(getattr(recipe, name))
    return {name: _plain(value) for name, value in told.items()}


def _plain(value: Any) -> bool | int | float | str:
    return value if isinstance(value, bool | int | float | str) else msgspec.json.encode(value).decode()
