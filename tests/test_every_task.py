"""Every plugin trains on the sample data of every task that it claims, and beats the trivial predictor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import zoo
from zoo.registry import installed

OURS = ("cnn", "lstm", "timm", "transformer")
CASES: dict[tuple[str, str], dict[str, Any]] = {  # shorter than the recipes: enough to learn something
    ("cnn/lenet5", "digits"): {"epochs": 4},
    ("timm/mobilenetv3_small_050", "digits"): {"epochs": 6, "warmup_epochs": 0},
    ("transformer/vit", "digits"): {"epochs": 6, "warmup_epochs": 1},
    ("cnn/textcnn", "snippets"): {"steps": 60},
    ("lstm/classifier", "snippets"): {"steps": 60},
    ("transformer/classifier", "snippets"): {"steps": 60},
    ("lstm/language_model", "stdlib"): {"steps": 60, "eval_samples": 64},
    ("transformer/gpt", "stdlib"): {"steps": 60, "eval_samples": 64},
    ("lstm/seq2seq", "dates"): {"epochs": 4},
    ("transformer/seq2seq", "dates"): {"epochs": 4},
    ("cnn/fcn", "control"): {"steps": 60},
    ("lstm/classifier", "control"): {"steps": 120},
    ("transformer/series_classifier", "control"): {"steps": 120},
    ("cnn/tcn", "mackey-glass"): {"epochs": 2},
    ("lstm/forecaster", "mackey-glass"): {"epochs": 3},
    ("transformer/patchtst", "mackey-glass"): {"epochs": 3},
}


@pytest.mark.slow
@pytest.mark.parametrize(("model", "data"), CASES)
def test_training_beats_the_trivial_predictor(model: str, data: str, tmp_path: Path) -> None:
    settings = CASES[model, data]
    run = zoo.train(model, data, output=tmp_path / "run", settings=settings)
    task = installed().task(run.record.problem.task)
    reached, trivial = run.metrics[task.metric], run.record.baseline["metrics"][task.metric]
    assert reached > trivial if task.maximize else reached < trivial


def test_every_task_of_every_plugin_of_ours_is_trained_above() -> None:
    registry = installed()
    claimed = {
        (model.plugin.name, task)
        for model in registry.models.values()
        if model.plugin.name in OURS
        for task in model.spec.tasks
    }
    trained = {(model.split("/")[0], registry.datasets[data].problem.task) for model, data in CASES}
    assert trained == claimed
