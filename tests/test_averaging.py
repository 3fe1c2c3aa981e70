"""The mean of weights from where the validation no longer improves: when it begins, and what it is of."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

import zoo

SETTINGS = {
    "batch_size": 16,
    "precision": "fp32",
    "lr": 0.1,
    "schedule": "constant",
    "steps": 40,  # judged after every fourth
}
BEGUN = 8  # the second validation at this rate is no better than the first


class StopAt(zoo.Callback):
    """Interrupts at a step."""

    def __init__(self, number: int) -> None:
        self.number = number

    def step(self, step: zoo.Step) -> None:
        if step.number == self.number:
            raise KeyboardInterrupt


def train(output: Path, *callbacks: zoo.Callback, **settings: Any) -> zoo.Run:
    return zoo.train(
        "cnn/fcn",
        "cbf",
        output=output,
        device="cpu",
        settings={**SETTINGS, **settings},
        callbacks=callbacks,
        width=4,
    )


def interrupted(output: Path, step: int, **settings: Any) -> zoo.Run:
    with pytest.raises(KeyboardInterrupt):
        train(output, StopAt(step), **settings)
    return zoo.Run.open(output)


def last_of(run: zoo.Run, part: str = "") -> dict[str, Tensor]:
    """The tensors of the last checkpoint, or of one part of it."""
    (file,) = (run.path / "last").glob("step-*.safetensors")
    return {
        name.removeprefix(f"{part}."): tensor
        for name, tensor in load_file(file).items()
        if name.startswith(part)
    }


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_once_the_validation_is_stale_the_plain_mean_of_the_weights_since_counts(tmp_path: Path) -> None:
    run = interrupted(tmp_path / "run", BEGUN + 3, average_after=1)
    assert "averaged_from" not in run.history[0]
    weights = [
        last_of(interrupted(tmp_path / str(step), step), "model") for step in range(BEGUN + 1, BEGUN + 4)
    ]
    for name, mean in last_of(run, "average").items():
        if mean.is_floating_point():
            torch.testing.assert_close(mean, sum(each[name] for each in weights) / 3)
    different = weights[0]["head.weight"] - weights[2]["head.weight"]
    assert different.abs().max() > 0.01


def test_until_then_the_last_weights_count(tmp_path: Path) -> None:
    run = interrupted(tmp_path / "run", BEGUN - 1, average_after=1)
    assert same(last_of(run, "average"), last_of(run, "model"))


def test_what_is_kept_is_the_mean_and_the_history_says_since_when(tmp_path: Path) -> None:
    run = train(tmp_path / "run", average_after=1)
    assert [row.get("averaged_from") for row in run.history] == [None, None, *[BEGUN] * 8]
    best = int(run.record.best["step"])
    assert best == max(run.history, key=lambda row: row["validation"]["accuracy"])["step"]
    assert best > BEGUN + 1  # of the means, the first of which is the model itself
    then = interrupted(tmp_path / "then", best, average_after=1)
    kept = load_file(run.path / "model.safetensors")
    assert same(kept, {name: last_of(then, "average")[name] for name in kept})
    assert not same(kept, {name: last_of(then, "model")[name] for name in kept})


@pytest.mark.parametrize("stop", [BEGUN - 1, BEGUN, BEGUN + 1, 22])
def test_a_run_that_goes_on_has_the_same_mean(tmp_path: Path, stop: int) -> None:
    whole = train(tmp_path / "whole", average_after=1)
    interrupted(tmp_path / "parts", stop, average_after=1)
    parts = zoo.resume(tmp_path / "parts", device="cpu")
    assert same(last_of(parts), last_of(whole))
    assert parts.metrics == whole.metrics


def test_patience_begins_anew_with_the_mean(tmp_path: Path) -> None:
    """Nothing improves: stale once, the mean begins, stale twice, the end."""
    run = train(tmp_path / "run", average_after=1, patience=2, lr=1e-30, weight_decay=0.0)
    assert [row.get("averaged_from") for row in run.history] == [None, None, 8, 8]


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"ema_decay": 0.9}, "average_after = 3: is another average than ema_decay; leave one out"),
        ({"patience": 2}, "average_after = 3: patience = 2 ends training before"),
    ],
)
def test_what_does_not_go_with_a_mean_is_told(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(zoo.SpecError, match=f"{re.escape(told)}$"):
        zoo.Recipe(average_after=3, **settings)


def test_sgd_without_momentum_is_plain_sgd(tmp_path: Path) -> None:
    """timm's own refuses it, since it means Nesterov's momentum."""
    run = train(tmp_path / "run", optimizer="sgd", momentum=0.0, steps=1)
    assert not [name for name in last_of(run) if name.startswith("optimizer")]
