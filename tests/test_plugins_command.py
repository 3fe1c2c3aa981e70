"""`zoo plugins disable` and `enable`, and models that break their task's contract."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

import zoo
from zoo.data import load_dataset
from zoo.registry import installed
from zoo.specs import Recipe
from zoo.tasks.base import prepare
from zoo.training.trainer import rehearse


def _zoo(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "zoo", *arguments], capture_output=True, text=True, check=False
    )


def test_a_disabled_plugin_stays_out_until_it_is_enabled() -> None:
    assert _zoo("plugins", "disable", "cnn").returncode == 0
    states = {row["name"]: row["state"] for row in json.loads(_zoo("plugins", "--json").stdout)["plugins"]}
    assert states["cnn"] == "disabled"
    refused = _zoo("info", "cnn/lenet5")
    assert refused.returncode == 1
    assert "zoo plugins enable cnn" in refused.stderr
    assert _zoo("plugins", "enable", "cnn").returncode == 0
    assert _zoo("info", "cnn/lenet5").returncode == 0


def test_a_plugin_that_is_not_installed_cannot_be_disabled() -> None:
    refused = _zoo("plugins", "disable", "cmn")
    assert refused.returncode == 1
    assert "did you mean cnn" in refused.stderr


class _Wrong(nn.Module):
    def __init__(self, shape: tuple[int, ...] | None) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if self.shape is None:
            raise RuntimeError("mat1 and mat2 cannot be multiplied")
        return torch.zeros(self.shape)


@pytest.mark.parametrize(
    ("shape", "reason"),
    [((2, 11), "gives [2, 11] where the task asks for [2, 10]"), (None, "cannot be multiplied")],
)
def test_a_model_that_breaks_its_contract_is_found_out_before_training(
    shape: tuple[int, ...] | None, reason: str, tmp_path: Path
) -> None:
    registry = installed()
    model, _ = registry.model("cnn/lenet5")
    task: Any = registry.task_implementation("image-classification")
    dataset = load_dataset("digits")
    prepared = prepare(task, dataset, task.fit(dataset, model.spec, Recipe()))
    with pytest.raises(zoo.PluginError) as caught:
        rehearse(_Wrong(shape), task, prepared, SimpleNamespace(name="toy/wrong", plugin=model.plugin))  # type: ignore[arg-type]
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)
