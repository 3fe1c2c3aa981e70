"""`zoo.train`: with the settings that all have, or with those that the plugin and the trainer choose here."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import torch

import zoo
from train_rivals.cases import LR, SEED, WEIGHT_DECAY, Case, make_data
from train_rivals.job import Job, Result, Watch
from train_rivals.torch_side import build, count_parameters, problem_of, start_loss
from zoo.training import Callback, Step

JUDGED = 16  # samples of the validation and test splits, which are looked at after the last step only
PLAIN: dict[str, Any] = {
    "optimizer": "adamw",
    "lr": LR,
    "weight_decay": WEIGHT_DECAY,
    "schedule": "constant",
    "warmup_epochs": 0,
    "precision": "fp32",
    "channels_last": False,
    "compile": False,
}


class StepTimes(Callback):
    """Tells the watch of each step; keeps the losses where they are."""

    def __init__(self, watch: Watch) -> None:
        self.watch = watch

    def step(self, step: Step) -> None:
        """A step is over."""
        self.watch.step(step.loss.item)


def train(job: Job) -> Result:
    """With the settings that all have."""
    return _train(job, PLAIN)


def train_by_defaults(job: Job) -> Result:
    """As the plugin's recipe says and the trainer decides for this machine, but on the images as they are."""
    return _train(job, {})


def _train(job: Job, settings: dict[str, Any]) -> Result:
    torch.set_num_threads(job.threads)
    case, watch = job.of, Watch(job)
    same = {"epochs": 1, "batch_size": case.batch, "grad_clip": case.clip, "affine": None, "seed": SEED}
    model = build(case)
    with tempfile.TemporaryDirectory() as folder:
        zoo.train(
            case.model,
            make_dataset(job),
            output=Path(folder, "run"),
            settings={**settings, **same},
            device="cpu",
            callbacks=[StepTimes(watch)],
            **case.options,
        )
    return Result(
        seconds=watch.seconds,
        parameters=count_parameters(model),
        start_loss=start_loss(model, job),
        version=f"torch-zoo {zoo.__version__}",
    )


def make_dataset(job: Job) -> zoo.Dataset:
    """The same samples as raw columns, and a few of them once more to judge by."""
    case = job.of
    raw = make_data(case, job.samples)
    splits = {"train": _columns(case, raw.raw, raw.targets, job.samples)}
    for name in ("validation", "test"):
        splits[name] = _columns(case, raw.raw, raw.targets, JUDGED)
    return zoo.Dataset(name="drawn", problem=problem_of(case), splits=splits)


def _columns(case: Case, raw: Any, labels: Any, count: int) -> dict[str, Any]:
    if case.task == "language-modeling":
        return {"text": [raw[: count * case.shape[0]]]}
    name = "images" if case.task == "image-classification" else "series"
    return {name: raw[:count], "labels": labels[:count]}
