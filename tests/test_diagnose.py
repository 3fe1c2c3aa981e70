"""`zoo diagnose`: faults put into real data are found, and every command that it gives can be run."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from toys import document, run

import zoo
from zoo.cli import cli
from zoo.data.dataset import SPLITS, Dataset
from zoo.diagnosis import Diagnosis, diagnose

Capture = pytest.CaptureFixture[str]
FLIPPED = 0.2
SETTINGS: dict[str, Any] = {"epochs": 8, "image_size": 16}


def digits(train: int | None = None) -> Dataset:
    whole = zoo.load_dataset("digits")
    columns = {name: column[:train] for name, column in whole.splits["train"].items()}
    return changed(whole, columns)


def changed(whole: Dataset, train: dict[str, Any], **others: Any) -> Dataset:
    splits = {**whole.splits, "train": train, **others}
    problem = whole.problem.replace(samples=len(train["labels"]))
    return replace(whole, splits=splits, problem=problem)


def trained(folder: Path, data: Dataset, **settings: Any) -> Diagnosis:
    chosen = {**SETTINGS, **settings}
    made = zoo.train("cnn/lenet5", data, output=folder / "run", settings=chosen, device="cpu")
    return diagnose(made, data=data)


def titles(found: Diagnosis) -> list[str]:
    return [advice.title for advice in found.findings]


def check_command(command: str) -> None:
    """Raises what the command line would say of options that do not exist."""
    program, name, *words = shlex.split(command)
    assert program == "zoo"
    found: click.Command | None = cli
    context = click.Context(cli, obj={})
    words = [name, *words]
    while isinstance(found, click.Group):
        found = found.get_command(context, words.pop(0))
    assert found is not None
    found.make_context(name, words)


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> zoo.Run:
    folder = tmp_path_factory.mktemp("runs")
    return zoo.train("cnn/lenet5", "digits", output=folder / "run", settings=SETTINGS, device="cpu")


def test_of_a_healthy_run_nothing_is_found_and_that_is_said(capsys: Capture, healthy: zoo.Run) -> None:
    status, out, _ = run(capsys, "diagnose", str(healthy.path), "--device", "cpu")
    assert status == 0
    assert out == (
        "cnn/lenet5 on digits\nnothing found; looked at: learning rate, waiting for data, underfitting, "
        "length of the training, overfitting, leakage, imbalance, label noise\n"
    )
    told = document(capsys, "diagnose", str(healthy.path), "--device", "cpu")
    assert told["findings"] == []
    assert told["metrics"]["test"]["value"] == pytest.approx(healthy.metrics["accuracy"], abs=1e-6)
    assert told["metrics"]["train"]["low"] > 0.9


def test_a_set_too_small_is_learned_by_heart_and_the_gap_is_measured(tmp_path: Path) -> None:
    found = trained(tmp_path, digits(100), steps=150, batch_size=20, lr=3e-3, weight_decay=0.0, affine=None)
    first = next(advice for advice in found.findings if advice.title == "overfitting")
    assert first.sure == "certain"
    assert first.figures["train"] > 0.95
    assert first.figures["train"] - first.figures["validation"] > 0.05
    assert "points apart" in first.reason
    assert "-o weight_decay=0.05" in first.command
    for advice in found.findings:
        check_command(advice.command)


def test_copies_of_test_samples_are_counted_and_the_test_is_taken_without_them(tmp_path: Path) -> None:
    whole = digits(300)
    test, train = whole.splits["test"], whole.splits["train"]
    mixed = {name: np.concatenate([train[name], test[name][:60]]) for name in train}
    found = trained(tmp_path, changed(whole, mixed), batch_size=30)
    advice = next(each for each in found.findings if each.title == "leakage")
    size = len(test["labels"])
    assert advice.reason.startswith(f"60 of {size:,} test samples are training samples too")
    assert advice.figures["test"] == pytest.approx(60 / size)
    assert len(advice.examples) == 60
    right = found.metrics["test"].value * size - advice.figures["clean"] * (size - 60)
    assert right == pytest.approx(round(right), abs=1e-3)  # whole samples among those that leaked
    check_command(advice.command)


def test_labels_that_were_flipped_are_found_and_few_others(tmp_path: Path) -> None:
    whole, rng = digits(), np.random.default_rng(0)
    train = dict(whole.splits["train"])
    labels = np.array(train["labels"])
    flipped = np.flatnonzero(rng.random(len(labels)) < FLIPPED)
    labels[flipped] = (labels[flipped] + rng.integers(1, 10, len(flipped))) % 10
    found = trained(tmp_path, changed(whole, {**train, "labels": labels}), epochs=6)
    advice = next(each for each in found.findings if each.title == "label noise")
    suspects = {int(example.split(":")[0].removeprefix("train ")) for example in advice.examples}
    hit = suspects & set(flipped.tolist())
    assert len(hit) > 0.95 * len(suspects)
    assert len(hit) > 0.5 * len(flipped)
    assert advice.sure == "likely"
    assert "-o label_smoothing=0.1" in advice.command
    check_command(advice.command)


def test_a_rare_class_that_is_not_found_is_told_with_its_recall(tmp_path: Path) -> None:
    whole = digits()
    labels = np.asarray(whole.splits["train"]["labels"])
    kept = np.concatenate([np.flatnonzero(labels != 8), np.flatnonzero(labels == 8)[:3]])
    train = {name: column[kept] for name, column in whole.splits["train"].items()}
    found = trained(tmp_path, changed(whole, train), epochs=3)
    advice = next(each for each in found.findings if each.title == "imbalance")
    assert advice.reason.startswith("'8' has 3 training samples")
    assert advice.sure == "likely"
    assert advice.figures["recall_rare"] < advice.figures["recall_others"] - 0.1
    assert "-o class_weights=balanced" in advice.command
    check_command(advice.command)


def test_a_run_whose_time_was_up_is_told_what_it_lacks(tmp_path: Path, healthy: zoo.Run) -> None:
    short = healthy.record.replace(recipe=healthy.record.recipe.replace(epochs=800))
    found = diagnose(zoo.Run(healthy.path, short))
    assert titles(found) == ["stopped early"]
    planned = short.recipe.total_steps(short.problem.samples or 0)
    assert found.findings[0].reason == f"its time was up after {short.steps:,} of {planned:,} steps"
    assert "-o epochs=800" in found.findings[0].command
    check_command(found.findings[0].command)


def test_data_that_has_changed_leaves_the_course_to_be_judged(
    capsys: Capture, tmp_path: Path, healthy: zoo.Run
) -> None:
    record = json.loads((healthy.path / "run.json").read_text())
    record["data"]["fingerprint"] = "0" * 64
    moved = tmp_path / "run"
    moved.mkdir()
    for path in healthy.path.iterdir():
        if path.is_file():
            (moved / path.name).write_bytes(path.read_bytes())
    (moved / "run.json").write_text(json.dumps(record))
    status, out, err = run(capsys, "diagnose", str(moved), "--device", "cpu")
    assert status == 0
    assert "label noise" not in out
    assert err == (
        "diagnose: only its course was judged: data 'digits' has changed since the run was trained on it\n"
    )


def test_what_is_no_run_is_one_line(capsys: Capture, tmp_path: Path) -> None:
    status, _, err = run(capsys, "diagnose", str(tmp_path))
    assert (status, err) == (1, f"zoo: '{tmp_path}' has no run.json, so it is no run folder\n")


def test_texts_are_diagnosed_too(tmp_path: Path) -> None:
    whole = zoo.load_dataset("snippets")
    few = {split: {name: column[:600] for name, column in whole.splits[split].items()} for split in SPLITS}
    data = replace(whole, splits=few, problem=whole.problem.replace(samples=600))
    made = zoo.train(
        "cnn/textcnn", data, output=tmp_path / "run", settings={"steps": 10, "batch_size": 16}, device="cpu"
    )
    found = diagnose(made, data=data)
    assert "underfitting" in titles(found)
    assert "label noise" in found.checks
    for advice in found.findings:
        check_command(advice.command)


def test_a_forecast_has_no_classes_to_be_doubted(tmp_path: Path) -> None:
    made = zoo.train("cnn/tcn", "mackey-glass", output=tmp_path / "run", settings={"steps": 4}, device="cpu")
    found = diagnose(made)
    assert found.metric == "mase"
    assert found.metrics.keys() == {"train", "validation", "test"}
    assert not {"label noise", "leakage", "imbalance"} & set(titles(found))
