"""Several processes that train one model: the same numbers as one, and nothing lost with one of them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from safetensors.torch import load_file

import zoo

SCRIPT = """
import json, os, sys

import zoo

class Losses(zoo.Callback):
    def __init__(self):
        self.values = []

    def step(self, step):
        self.values.append(float(step.loss))

told = json.loads(sys.argv[1])
losses = Losses()
run = zoo.train(
    told["model"], told["data"], output=told["output"], device="cpu", callbacks=[losses],
    settings=told["settings"], shard=told["shard"], **told["options"],
)
if os.environ.get("RANK", "0") == "0":
    with open(told["output"] + ".json", "w") as file:
        json.dump(losses.values, file)
"""
SERIES = {
    "model": "transformer/series_classifier",
    "data": "control",
    "settings": {"steps": 10, "batch_size": 32, "grad_clip": 1.0, "precision": "fp32"},
    "options": {"dropout": 0.0},
}
PAIRS = {  # of unequal lengths, so that a process's mean is not worth as much as another's
    "model": "transformer/seq2seq",
    "data": "dates",
    "settings": {"steps": 6, "batch_size": 16, "eval_samples": 32, "precision": "fp32"},
    "options": {"dropout": 0.0},
}


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def train(case: dict[str, Any], output: Path, processes: int, *, shard: bool = False) -> list[float]:
    """Trains in so many processes and gives the losses of all steps."""
    script = output.with_suffix(".py")
    script.write_text(SCRIPT)
    told = json.dumps({**case, "output": str(output), "shard": shard})
    start = [sys.executable, str(script), told]
    if processes > 1:
        start[1:1] = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    done = subprocess.run(start, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    losses: list[float] = json.loads(Path(f"{output}.json").read_text())
    return losses


@pytest.mark.parametrize(
    ("processes", "shard"),
    [
        (2, False),
        pytest.param(4, False, marks=pytest.mark.slow),
        pytest.param(2, True, marks=pytest.mark.slow),
        pytest.param(4, True, marks=pytest.mark.slow),
    ],
)
def test_several_processes_have_the_losses_of_one(tmp_path: Path, processes: int, shard: bool) -> None:
    alone = train(SERIES, tmp_path / "alone", 1)
    together = train(SERIES, tmp_path / "together", processes, shard=shard)
    assert len(alone) == 10
    assert alone[-1] < alone[0]
    assert together == pytest.approx(alone, abs=1e-5)
    run = zoo.Run.open(tmp_path / "together")
    assert (run.record.processes, run.record.sharded) == (processes, shard)
    one, other = (load_file(tmp_path / name / "model.safetensors") for name in ("alone", "together"))
    assert all(torch.allclose(one[name], other[name], atol=1e-4) for name in one)
    assert run.metrics == pytest.approx(zoo.Run.open(tmp_path / "alone").metrics, abs=1e-2)


@pytest.mark.slow
@pytest.mark.parametrize("shard", [False, True])
def test_tokens_count_the_same_in_whichever_process_they_are(tmp_path: Path, shard: bool) -> None:
    alone = train(PAIRS, tmp_path / "alone", 1)
    assert train(PAIRS, tmp_path / "together", 2, shard=shard) == pytest.approx(alone, abs=1e-5)
    halves = {**PAIRS, "settings": {**PAIRS["settings"], "accumulate": 2}}
    assert train(halves, tmp_path / "halves", 2, shard=shard) == pytest.approx(alone, abs=1e-5)


@pytest.mark.slow
def test_a_sharded_run_of_four_goes_on_in_one_process(tmp_path: Path) -> None:
    """Interrupted at step 6 with a checkpoint of four files, it ends as a run of one process does."""
    alone = train(SERIES, tmp_path / "alone", 1)
    script = SCRIPT.replace(
        "self.values.append(float(step.loss))",
        "self.values.append(float(step.loss))\n        if step.number == 6: raise KeyboardInterrupt",
    )
    output = tmp_path / "parts"
    (tmp_path / "parts.py").write_text(script)
    told = json.dumps({**SERIES, "output": str(output), "shard": True})
    start = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "4"]
    command = [sys.executable, *start, str(tmp_path / "parts.py"), told]
    subprocess.run(command, capture_output=True, check=False)
    run = zoo.Run.open(output)
    assert (run.record.state, run.record.steps) == ("interrupted", 6)
    (folder,) = (output / "last").glob("step-*")
    assert len(list(folder.glob("*.safetensors"))) == 4
    ended = zoo.resume(output, device="cpu", shard=False)
    assert ended.record.state == "finished"
    assert ended.record.processes == 1
    reference = load_file(tmp_path / "alone" / "model.safetensors")
    reached = load_file(ended.weights_path)
    assert all(torch.allclose(reference[name], reached[name], atol=1e-4) for name in reference)
    assert ended.history[-1]["loss"] == pytest.approx(alone[-1], abs=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("shard", [False, True])
def test_a_process_that_is_killed_is_started_anew_and_the_run_finishes(tmp_path: Path, shard: bool) -> None:
    output = tmp_path / "run"
    command = [sys.executable, "-m", "zoo", "train", SERIES["model"], "--data", SERIES["data"]]
    command += ["--processes", "2", "--restarts", "1", "--checkpoint-every", "0.2s", "--device", "cpu"]
    command += ["-o", "steps=150", "-o", "batch_size=32", "--output", str(output), *(["--shard"] * shard)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as launcher:
        killed = _kill_a_worker(launcher, output)
        _, told = launcher.communicate(timeout=240)
    assert launcher.returncode == 0, told[-4000:]
    run = zoo.Run.open(output)
    assert (run.record.state, run.record.steps) == ("finished", 150)
    assert 0 < killed < 150
    assert [row["step"] for row in run.history] == [15 * number for number in range(1, 11)]


@pytest.mark.slow
def test_a_process_that_is_killed_for_good_is_told_of_and_the_run_can_go_on(tmp_path: Path) -> None:
    output = tmp_path / "run"
    command = [sys.executable, "-m", "zoo", "-q", "train", SERIES["model"], "--data", SERIES["data"]]
    command += ["--processes", "2", "--checkpoint-every", "0.2s", "--device", "cpu"]
    command += ["-o", "steps=100", "-o", "batch_size=32", "--output", str(output)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as launcher:
        _kill_a_worker(launcher, output)
        _, told = launcher.communicate(timeout=240)
    assert launcher.returncode == 1
    assert "zoo: process 1 was ended by SIGKILL; go on from the last checkpoint: --resume" in told
    assert {line[:5] for line in told.splitlines()} == {"zoo: "}
    assert zoo.resume(output, device="cpu").record.state == "finished"


def test_more_processes_than_samples_of_a_batch_are_refused(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "zoo", "-q", "train", "cnn/fcn", "--data", "cbf", "--device", "cpu"]
    command += ["--processes", "2", "-o", "batch_size=1", "--output", str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "a batch of 1 is too small for 2 processes; take fewer, or a larger batch_size" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()


def test_sharding_over_one_process_is_refused(tmp_path: Path) -> None:
    with pytest.raises(zoo.TrainingError, match="there is one; add --processes N"):
        zoo.train("cnn/fcn", "cbf", output=tmp_path / "run", device="cpu", shard=True)
    assert not (tmp_path / "run").exists()


def _kill_a_worker(launcher: subprocess.Popen[str], output: Path) -> int:
    """Kills the second worker outright after a while, and gives the step of the last checkpoint."""
    while True:
        assert launcher.poll() is None, launcher.communicate()[1][-4000:]
        if (step := _step_of(output)) > 0:
            break
        time.sleep(0.05)
    workers = [
        child for child in psutil.Process(launcher.pid).children() if child.environ().get("RANK") == "1"
    ]
    os.kill(workers[0].pid, signal.SIGKILL)
    return step


def _step_of(output: Path) -> int:
    """Of the last checkpoint; -1 where there is none."""
    try:
        step: int = json.loads((output / "last" / "state.json").read_text())["step"]
    except FileNotFoundError:
        return -1
    return step
