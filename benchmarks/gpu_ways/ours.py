"""`zoo.train`, with bf16 and channels-last asked for, or as the recipe and the trainer decide."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import zoo
from gpu_ways.common import LR, SEED, WEIGHT_DECAY, result_of
from gpu_ways.job import EPOCHS, Job, Result, Watch
from zoo.training import Callback, Step

LETTERS = np.array(list("abcdefghijklmnopqrstuvwxyz"))
WORD, REPEATS = 7, 8  # letters of a word, and how often each comes in the text on average


class EpochTimes(Callback):
    """Tells a watch of each step; the trainer evaluates and saves between its stretches."""

    def start(self, run: zoo.Run, total_steps: int, first_step: int) -> None:
        """The length of an epoch is known."""
        self.watch = Watch(total_steps // EPOCHS)

    def step(self, step: Step) -> None:
        """A step is over."""
        self.watch.step(step.loss.item)


def train(job: Job) -> Result:
    """With the switches that the other ways have."""
    same = {"precision": "bf16", "channels_last": len(job.shape) == 3, "compile": job.compile}
    chosen = {"optimizer": "adamw", "lr": LR, "weight_decay": WEIGHT_DECAY, "schedule": "cosine"}
    return _train(job, {**chosen, **same})


def train_by_defaults(job: Job) -> Result:
    """Only what defines the work is set: batch, epochs, size, and images as they are."""
    return _train(job, {})


def _train(job: Job, settings: dict[str, Any]) -> Result:
    times = EpochTimes()
    settings |= {"epochs": EPOCHS, "batch_size": job.batch, "eval_batch_size": job.batch, "affine": None}
    settings |= {"warmup_epochs": 0, "seed": SEED}
    if len(job.shape) == 1:
        settings |= {"tokenizer": "bpe", "vocab_size": job.classes, "length": job.shape[0], "grad_clip": 1.0}
        dataset, options = _text(job), {"dim": job.dim, "depth": job.depth, "heads": job.heads}
    else:
        settings |= {"image_size": job.shape[-1], "grad_clip": 0.0}
        dataset, options = _images(job), {}
    with tempfile.TemporaryDirectory() as folder:
        run = zoo.train(
            job.model,
            dataset,
            output=Path(folder, "run"),
            settings=settings,
            device=job.device,
            callbacks=[times],
            **options,
        )
        return result_of(times.watch, zoo.load(run.path), job)


def _images(job: Job) -> zoo.Dataset:
    """Noise in bytes, which goes to the device whole."""
    rng = np.random.default_rng(SEED)
    channels, height, width = job.shape
    images = rng.integers(256, size=(job.samples, *job.shape), dtype=np.uint8)
    labels = rng.integers(job.classes, size=job.samples)
    few = {"images": images[: job.batch], "labels": labels[: job.batch]}
    problem = zoo.Problem(
        task="image-classification",
        input=zoo.ImageInput(channels=channels, height=height, width=width),
        output=zoo.Classes(count=job.classes, names=tuple(map(str, range(job.classes)))),
    )
    splits = {"train": {"images": images, "labels": labels}, "validation": few, "test": few}
    return zoo.Dataset(name="noise", problem=problem, splits=splits)


def _text(job: Job) -> zoo.Dataset:
    """Words of random letters, enough of them for the vocabulary, and at least a token each."""
    rng = np.random.default_rng(SEED)
    (length,) = job.shape
    count = job.samples * length
    letters = LETTERS[rng.integers(len(LETTERS), size=(max(1, count // REPEATS), WORD))]
    words = np.array(["".join(word) for word in letters])
    text = " ".join(words[rng.integers(len(words), size=count)])
    few = {"text": [text[: (WORD + 1) * (job.batch + 1) * length]]}
    problem = zoo.Problem(
        task="language-modeling",
        input=zoo.TokenInput(vocab_size=job.classes, length=length),
        output=zoo.TokenOutput(vocab_size=job.classes, length=length),
    )
    splits = {"train": {"text": [text]}, "validation": few, "test": few}
    return zoo.Dataset(name="words", problem=problem, splits=splits)
