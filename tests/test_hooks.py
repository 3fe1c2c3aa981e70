"""Every hook, by one plugin that has them all: each is seen to work through the command line or the API."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from toys import GOOD, HOOK, Capture, Site, document, run

import zoo
from zoo import hookspecs

HOOKS = [name for name in vars(hookspecs) if name.startswith("zoo_")]
TOY = """
PROBLEM = zoo.Problem(
    task="grading",
    input=zoo.ImageInput(channels=1, height=2, width=2),
    output=zoo.Classes(count=3, names=("low", "middle", "high")),
    samples=60,
)

@zoo.hookimpl
def zoo_models():
    yield net("net", tasks=("grading", "image-classification"), reference=PROBLEM,
              facts=zoo.Facts(parameters=15, macs=12, activation_bytes={"fp32": 16}))

@zoo.hookimpl
def zoo_weights():
    return [zoo.WeightsSpec(
        tag="ones",
        model="good/net",
        source="file:WEIGHTS",
        problem=PROBLEM.replace(task="image-classification"),
        preprocess=zoo.ImagePreprocess(channels=1, height=2, width=2),
        labels=PROBLEM.output.names,
    )]

@zoo.hookimpl
def zoo_tasks():
    return (zoo.TaskSpec(
        name="grading",
        implementation="zootoy_torch:grading",
        metric="off_by",
        maximize=False,
        unit="number",
        forward="(images[B,C,H,W]) -> logits[B,K]",
        summary="which of K ordered grades an image has",
    ),)

@zoo.hookimpl
def zoo_datasets():
    return [zoo.DatasetSpec(name="shades", loader="zootoy_torch:shades", problem=PROBLEM)]

@zoo.hookimpl
def zoo_devices():
    return [zoo.DeviceSpec(
        name="toy-9000", kind="cuda", title="Toy 9000", memory_bytes=8 * 10**9, bandwidth_bytes=10**11,
        peak_flops={"fp32": 1e13, "bf16": 5e13}, source="its box",
    )]

@zoo.hookimpl
def zoo_evidence():
    yield zoo.Evidence(
        model="toy/net", problem=PROBLEM, source="the toy's maker", dataset="shades", score=0.123,
        device="toy-9000", seconds=5.0, seen=600,
    )

@zoo.hookimpl
def zoo_callbacks(run):
    from zootoy_torch import Diary
    return [Diary(run)]

@zoo.hookimpl
def zoo_commands():
    import click

    @click.command()
    @click.argument("name")
    def greet(name):
        "Say hello."
        click.echo(f"hello {name}, from {len(zoo.list_models('toy/*'))} models")

    return [greet]
"""
TORCH_SIDE = '''
"""The torch side: a task that learns an order, data to learn it from, and a diary of each run."""

import numpy as np
import torch
from torch.nn import functional as F

import zoo
from zoo.tasks.base import Baseline
from zoo.tasks.classification import Classification, image_classification
from zoo.training import Callback
from zootoy_toy import PROBLEM


class Grading(Classification):
    def loss(self, output, batch, recipe):
        return F.mse_loss(_grade(output), batch["labels"].float())

    def scores(self, output, batch, scale):
        off = (_grade(output) - batch["labels"]).abs()
        return {"off_by": (off, torch.ones_like(off))}

    def baseline(self, prepared, split):
        labels = np.asarray(prepared.dataset.splits[split]["labels"])
        return Baseline(name="the middle grade", metrics={"off_by": float(np.abs(labels - 1).mean())})


def _grade(logits):
    return logits.float().softmax(dim=1) @ torch.arange(logits.shape[1], dtype=torch.float32)


grading = Grading(name="grading", codec=image_classification.codec)


def shades():
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 3
    pixels = 100 * labels[:, None, None, None] + rng.integers(0, 50, (60, 1, 2, 2))
    split = {"images": pixels.astype(np.uint8), "labels": labels}
    return zoo.Dataset(
        name="shades", problem=PROBLEM, splits={name: split for name in ("train", "validation", "test")}
    )


class Diary(Callback):
    def __init__(self, run):
        self.file = run.path / "diary.txt"

    def start(self, run, total_steps, first_step):
        self.file.write_text(f"{run.record.model} from {first_step} to {total_steps}: ")

    def step(self, step):
        with self.file.open("a") as file:
            file.write(str(step.number % 10))

    def end(self, run):
        with self.file.open("a") as file:
            file.write(f" {run.record.state}")
'''


@pytest.fixture
def toy(install: Site, tmp_path: Path) -> Path:
    """The toy, and a plugin for whose model it brings weights."""
    weights = tmp_path / "ones.safetensors"
    save_file({"1.weight": torch.ones(3, 4), "1.bias": torch.tensor([0.0, 0.0, 9.0])}, weights)
    install("good", GOOD)
    install("toy", TOY.replace("WEIGHTS", str(weights)))
    (install.folder / "zootoy_torch.py").write_text(TORCH_SIDE)
    return tmp_path


def test_the_toy_has_every_hook_there_is() -> None:
    assert len(HOOKS) == 8
    assert all(f"def {hook}(" in TOY for hook in HOOKS)


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_says_when_it_is_called(hook: str) -> None:
    told = getattr(hookspecs, hook).__doc__
    assert "\n    Called " in told
    assert len(told.split()) > 20


def test_nothing_is_remarked_on(toy: Path, capsys: Capture) -> None:
    rows = {row["name"]: row for row in document(capsys, "plugins")["plugins"]}
    assert (rows["toy"]["state"], rows["toy"]["models"], rows["toy"]["remarks"]) == ("active", 1, [])
    assert run(capsys, "plugins", "doctor", "toy") == (
        0,
        "toy (toy-toy 1.0): sound; models 1, tasks 1, data sets 1, models built 1, weights 1\n",
        "",
    )


def test_models_tasks_data_and_callbacks_make_a_run(toy: Path, capsys: Capture) -> None:
    """A model learns a new task from new data, and an observer is told of it."""
    output = toy / "run"
    quick = ("-o", "epochs=8", "-o", "lr=0.1", "-o", "batch_size=10", "--device", "cpu")
    status, out, err = run(capsys, "train", "toy/net", "--data", "shades", *quick, "--output", str(output))
    assert status == 0, err
    assert "toy/net on shades: 48 steps on cpu" in out
    assert re.search(r"^off_by +0\.\d+ +0\.6667 ", out, re.MULTILINE)
    assert re.search(r"^test +this model +the middle grade ", out, re.MULTILINE)
    told = zoo.Run.open(output)
    assert told.record.problem.task == "grading"
    assert told.metrics["off_by"] < 0.3
    assert (output / "diary.txt").read_text() == f"toy/net from 0 to 48: {'1234567890' * 4}12345678 finished"

    loaded = zoo.load(output)
    assert loaded(torch.ones(1, 1, 2, 2)).argmax() == 2
    found = document(capsys, "evaluate", str(output), "--data", "shades")
    assert found["metrics"]["off_by"]["value"] == pytest.approx(told.metrics["off_by"], abs=1e-4)


def test_weights_alone_serve_another_plugin_s_model(toy: Path, capsys: Capture) -> None:
    (model,) = document(capsys, "list", "good/*")["models"]
    assert [weights["tag"] for weights in model["weights"]] == ["ones"]
    loaded = zoo.load("good/net.ones")
    assert loaded.zoo.labels == ("low", "middle", "high")
    assert loaded(torch.zeros(1, 1, 2, 2)).tolist() == [[0.0, 0.0, 9.0]]


def test_a_device_is_planned_for_and_evidence_ranks(toy: Path, capsys: Capture) -> None:
    named = {device["name"] for device in document(capsys, "devices")["devices"]}
    assert "toy-9000" in named
    found = document(capsys, "recommend", "--data", "shades", "--device", "toy-9000")
    assert "toy-9000" in json.dumps(found["device"])
    (first,) = (row for row in found["recommendations"] if row["model"] == "toy/net")
    assert first["estimate"]["score"]["value"] == pytest.approx(0.123)
    assert zoo.installed().evidence[-1].source == "the toy's maker"


def test_a_command_is_run_and_its_fault_is_told_with_the_plugin_s_name(
    toy: Path, install: Site, capsys: Capture
) -> None:
    assert run(capsys, "greet", "you") == (0, "hello you, from 1 models\n", "")
    assert "Say hello." in run(capsys, "--help")[1]
    code = HOOK.replace("zoo_models", "zoo_commands") + (
        "import click\n    @click.command()\n    def fall():\n        {}['stairs']\n    return [fall]\n"
    )
    install("third", code)
    status, out, err = run(capsys, "fall")
    assert (status, out) == (1, "")
    assert err == "zoo: plugin 'third': KeyError: 'stairs'; see where with: zoo --debug ...\n"
