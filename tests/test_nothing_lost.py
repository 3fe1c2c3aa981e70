"""What a training keeps when it is killed, told to stop, runs out of memory, time or disk, or goes wrong."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from toys import SPECKS, Site

import zoo
from zoo.training.pace import Pace

KILLER = '''
"""Kills trainings at random moments of every kind, lets each go on, and compares what they end with."""

import contextlib, json, mmap, os, random, signal, sys, time
from pathlib import Path

import torch

import zoo
from zoo.training import session

torch.set_num_threads(1)
PHASES = {"step": 0, "checkpoint": 1, "evaluation": 2}
SETTINGS = {"steps": 40, "batch_size": 16, "precision": "fp32", "eval_samples": 100}
SETTINGS |= json.loads(sys.argv[3])
place = mmap.mmap(-1, 1)  # where the child is, seen by its parent


@contextlib.contextmanager
def phase(name):
    place[0] = PHASES[name]
    yield
    place[0] = PHASES["step"]


def told(function, name):
    def call(*arguments, **options):
        with phase(name):
            return function(*arguments, **options)
    return call


session.save_checkpoint = told(session.save_checkpoint, "checkpoint")
session.score = told(session.score, "evaluation")


class First(zoo.Callback):
    def __init__(self, path):
        self.path = path

    def start(self, run, total_steps, first_step):
        with open(self.path, "w") as file:
            file.write(str(first_step))


def child(work):
    """Does `work` in a process of its own, and gives its number."""
    number = os.fork()
    if number:
        return number
    try:
        work()
    except BaseException as error:
        print(error, file=sys.stderr)
        os._exit(1)
    os._exit(0)


def train(output):
    zoo.train("cnn/fcn", "cbf", output=output, device="cpu", settings=SETTINGS, width=4,
              limits=zoo.Limits(checkpoint_seconds=0.05))


def go_on(output):
    zoo.resume(output, device="cpu", callbacks=[First(f"{output}.first")])


def finished(number):
    assert os.waitstatus_to_exitcode(os.waitpid(number, 0)[1]) == 0


def tensors(output):
    return {
        path.name: path.read_bytes()[8 + int.from_bytes(path.read_bytes()[:8], "little"):]
        for pattern in ("model.safetensors", "last/step-*.safetensors") for path in Path(output).glob(pattern)
    }


folder, trials = Path(sys.argv[1]), int(sys.argv[2])
random.seed(0)
started = time.perf_counter()
finished(child(lambda: train(str(folder / "whole"))))
lasted = time.perf_counter() - started
whole = tensors(folder / "whole")
for trial in range(trials):
    output, wanted = str(folder / f"run{trial}"), list(PHASES)[trial % 3]
    while True:  # until it was killed before it had ended
        number = child(lambda: train(output))
        time.sleep(random.uniform(0.1, 0.9) * lasted)
        waited = time.perf_counter()
        while place[0] != PHASES[wanted] and time.perf_counter() - waited < lasted:
            pass
        os.kill(number, signal.SIGKILL)
        status = os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])
        state = Path(output, "last", "state.json")
        if status == -signal.SIGKILL and state.exists() and zoo.Run.open(output).record.state == "running":
            break
        os.system(f"rm -rf {output}")
    kept = json.loads(state.read_text())["step"]
    finished(child(lambda: go_on(output)))
    row = {"phase": wanted, "kept": kept, "first": int(Path(f"{output}.first").read_text()),
           "same": tensors(output) == whole}
    print(json.dumps(row), flush=True)
    os.system(f"rm -rf {output}")
'''
ENVIRONMENT = {"OMP_NUM_THREADS": "1"}


def killed_and_gone_on(folder: Path, trials: int, **settings: Any) -> list[dict[str, Any]]:
    script = folder / "killer.py"
    script.write_text(KILLER)
    done = subprocess.run(
        [sys.executable, str(script), str(folder), str(trials), json.dumps(settings)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **ENVIRONMENT},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.slow
def test_killed_at_any_moment_a_run_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    """In a step, in a checkpoint, in an evaluation; and nothing before the last checkpoint is repeated."""
    rows = killed_and_gone_on(tmp_path, 30, ema_decay=0.9)
    assert [row["same"] for row in rows] == [True] * 30
    assert all(row["first"] == row["kept"] for row in rows)
    assert {row["phase"] for row in rows} == {"step", "checkpoint", "evaluation"}


@pytest.mark.slow
def test_so_does_one_that_averages_since_its_validation_is_stale(tmp_path: Path) -> None:
    """At this rate the mean of the weights begins at step 8 of 40; some are killed after that."""
    rows = killed_and_gone_on(tmp_path, 12, average_after=1, lr=0.1, schedule="constant")
    assert [row["same"] for row in rows] == [True] * 12
    assert any(8 < row["kept"] < 40 for row in rows)


# -- told to stop --


def test_a_polite_kill_saves_and_ends_with_its_own_status(tmp_path: Path) -> None:
    output = tmp_path / "run"
    command = [sys.executable, "-m", "zoo", "-q", "train", "cnn/fcn", "--data", "cbf", "--device", "cpu"]
    command += ["-o", "steps=100000", "--output", str(output), "--option", "width=4"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        while not (output / "last" / "state.json").exists():
            assert process.poll() is None, process.communicate()[1]
            time.sleep(0.05)
        time.sleep(0.5)
        process.terminate()
        process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    run = zoo.Run.open(output)
    assert run.record.state == "interrupted"
    assert run.record.steps == json.loads((output / "last" / "state.json").read_text())["step"] > 0


# -- time --


def test_a_time_limit_ends_with_a_finished_schedule_inside_of_it(tmp_path: Path) -> None:
    limit = 8.0
    started = time.perf_counter()
    run = zoo.train(
        "cnn/fcn",
        "cbf",
        output=tmp_path / "run",
        device="cpu",
        settings={"steps": 1_000_000, "lr": 0.02, "min_lr": 1e-6},
        limits=zoo.Limits(max_seconds=limit),
        width=4,
    )
    assert time.perf_counter() - started < limit
    assert run.record.state == "finished"
    assert 0 < run.record.steps < 1_000_000
    assert run.history[-1]["lr"] == pytest.approx(1e-6, rel=0.5)
    assert run.metrics["accuracy"] > 0.5


def test_enough_time_changes_nothing(tmp_path: Path) -> None:
    """Not even where starting took a while of it."""
    late = zoo.Limits(max_seconds=3600, started=time.perf_counter() - 1800)
    settings = {"steps": 12, "batch_size": 8}
    one, other = (
        zoo.train(
            "cnn/fcn", "cbf", output=tmp_path / name, device="cpu", settings=settings, limits=given, width=4
        )
        for name, given in (("free", None), ("limited", late))
    )
    assert other.record.steps == 12
    assert [row["lr"] for row in one.history] == [row["lr"] for row in other.history]


def begun(pace: Pace, seconds: float, step: int = 0) -> Pace:
    """A pace whose schedule began so many seconds ago, as it was started."""
    pace.begin(step)
    pace.started -= seconds
    assert pace._begun is not None
    pace._begun = (pace._begun[0] - seconds, *pace._begun[1:])
    return pace


def test_the_clock_moves_a_schedule_on_and_never_back() -> None:
    """Half of the eight seconds that closing leaves of ten are over, and three steps of a hundred done."""
    pace = begun(Pace(100, limit=10.0), 4.0)
    assert 49 <= pace.hurry(3) + 3 <= 51
    pace.skipped = 60
    assert pace.hurry(4) == 60
    assert pace.position(4) == 64
    assert not pace.over(39)
    assert pace.over(40)


def test_nothing_is_skipped_while_the_time_will_do() -> None:
    pace = begun(Pace(100, limit=1000.0, started=time.perf_counter() - 500), 4.0)
    assert pace.hurry(1) == 0


def test_what_evaluating_takes_is_kept_back() -> None:
    pace = begun(Pace(100, limit=10.0, reserve=5.0), 2.9)
    assert 0 < pace.hurry(4) < 96
    pace.reserve = 5.5
    assert pace.hurry(4) == 96


# -- memory --

GREEDY = """
PROBLEM_LIMIT = 3

def build(problem):
    import torch
    from torch import nn

    class Greedy(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(4, 2)

        def forward(self, images):
            if self.training and len(images) > LIMIT:
                torch.empty(1 << 60)  # the allocator itself says that there is no such memory
            return self.head(images.flatten(1))

    return Greedy()

@zoo.hookimpl
def zoo_models():
    return [net()]
"""


def greedy(install: Site, limit: int) -> None:
    install("greedy", SPECKS + GREEDY.replace("PROBLEM_LIMIT = 3", f"LIMIT = {limit}"))


def test_out_of_memory_halves_the_pieces_and_goes_on_with_the_same_mathematics(
    tmp_path: Path, install: Site
) -> None:
    settings = {"epochs": 4, "batch_size": 8, "lr": 0.01}
    greedy(install, 100)
    whole = zoo.train("greedy/net", "specks", output=tmp_path / "whole", device="cpu", settings=settings)
    shutil.rmtree(install.folder)
    install.folder.mkdir()
    import toys

    toys.forget()
    greedy(install, 3)
    pieces = zoo.train("greedy/net", "specks", output=tmp_path / "pieces", device="cpu", settings=settings)
    assert json.loads((pieces.path / "last" / "state.json").read_text())["pieces"] == 4
    one, other = (load_file(run.path / "model.safetensors") for run in (whole, pieces))
    assert all(torch.allclose(one[name], other[name], atol=1e-6) for name in one)


def test_out_of_memory_with_one_sample_is_one_line(tmp_path: Path, install: Site) -> None:
    greedy(install, 0)
    with pytest.raises(zoo.TrainingError, match="out of memory with a single sample; take a smaller model"):
        zoo.train("greedy/net", "specks", output=tmp_path / "run", device="cpu")
    assert (tmp_path / "run" / "last" / "state.json").exists()


def test_the_batch_may_be_the_largest_that_fits(tmp_path: Path) -> None:
    """Of the sample's 1,257 training images, as many as leave twenty steps an epoch; the rate follows."""
    run = zoo.train(
        "cnn/lenet5",
        "digits",
        output=tmp_path / "run",
        device="cpu",
        settings={"batch_size": "auto", "epochs": 1, "lr": 1e-3, "lr_batch_size": 32, "lr_scaling": "linear"},
    )
    size = run.record.recipe.batch_size
    samples = run.record.problem.samples or 0
    assert size & (size - 1) == 0
    assert size <= samples // 20 < 2 * size
    assert run.record.recipe.scaled_lr == pytest.approx(1e-3 * size / 32)
    assert run.metrics["accuracy"] > 0.2


def test_a_batch_that_does_not_fit_is_halved_until_a_real_step_succeeds(
    tmp_path: Path, install: Site
) -> None:
    many = SPECKS.replace("np.arange(8)", "np.arange(640)").replace("(8, 1, 2, 2)", "(640, 1, 2, 2)")
    install(
        "greedy", many.replace("samples=8", "samples=640") + GREEDY.replace("PROBLEM_LIMIT = 3", "LIMIT = 5")
    )
    run = zoo.train(
        "greedy/net",
        "specks",
        output=tmp_path / "run",
        device="cpu",
        settings={"batch_size": "auto", "epochs": 1},
    )
    assert run.record.recipe.batch_size == 4


# -- numbers that end --


def test_a_loss_that_is_no_number_names_its_step_and_layer(tmp_path: Path) -> None:
    with pytest.raises(zoo.TrainingError) as caught:
        zoo.train(
            "cnn/fcn",
            "cbf",
            output=tmp_path / "run",
            device="cpu",
            settings={"steps": 30, "lr": 1e30, "schedule": "constant", "warmup_epochs": 0},
            width=4,
        )
    told = str(caught.value)
    assert re.match(
        r"the loss is no longer a number at step \d+, first in the (output|gradient) of [\w.]+", told
    )
    assert "try: -o lr=3e+29 -o grad_clip=1" in told
    assert "\n" not in told
    assert all(
        tensor.isfinite().all() for tensor in load_file(next((tmp_path / "run/last").glob("*.saf*"))).values()
    )


def test_a_run_goes_on_with_a_smaller_learning_rate(tmp_path: Path) -> None:
    bad = {"steps": 30, "lr": 1e30, "schedule": "constant", "warmup_epochs": 0}
    with pytest.raises(zoo.TrainingError):
        zoo.train("cnn/fcn", "cbf", output=tmp_path / "run", device="cpu", settings=bad, width=4)
    run = zoo.resume(tmp_path / "run", device="cpu", settings={"lr": 1e-3, "grad_clip": 1.0})
    assert run.record.state == "finished"
    assert run.record.recipe.lr == 1e-3
    with pytest.raises(zoo.RunError, match="is finished"):
        zoo.resume(tmp_path / "run", device="cpu")


def test_what_a_run_may_not_change_on_its_way_is_refused(tmp_path: Path) -> None:
    bad = {"steps": 30, "lr": 1e30, "schedule": "constant"}
    with pytest.raises(zoo.TrainingError):
        zoo.train("cnn/fcn", "cbf", output=tmp_path / "run", device="cpu", settings=bad, width=4)
    with pytest.raises(zoo.SpecError, match="seed: cannot be changed on the way; these can: lr, min_lr"):
        zoo.resume(tmp_path / "run", device="cpu", settings={"seed": 3})


# -- no room, no place, not alone --


@pytest.mark.slow
def test_a_run_that_another_process_trains_is_left_to_it(tmp_path: Path) -> None:
    output = tmp_path / "run"
    command = [sys.executable, "-m", "zoo", "-q", "train", "cnn/fcn", "--data", "cbf", "--device", "cpu"]
    command += ["-o", "steps=100000", "--output", str(output), "--option", "width=4"]
    with subprocess.Popen(command) as process:
        while not (output / "last" / "state.json").exists():
            assert process.poll() is None
            time.sleep(0.05)
        with pytest.raises(zoo.RunError, match="is being trained by another process; let it end"):
            zoo.resume(output, device="cpu")
        process.kill()
    assert zoo.resume(output, device="cpu", limits=zoo.Limits(max_seconds=5)).record.state == "finished"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="limits of processes")
def test_no_room_for_a_checkpoint_is_one_line_and_the_last_one_is_intact(tmp_path: Path) -> None:
    settings = {"steps": 40, "batch_size": 16, "precision": "fp32"}
    whole = zoo.train("cnn/fcn", "cbf", output=tmp_path / "whole", device="cpu", settings=settings, width=8)
    script = f"""
import resource, zoo
class Full(zoo.Callback):
    def step(self, step):
        if step.number == 20:
            resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
try:
    zoo.train("cnn/fcn", "cbf", output={str(tmp_path / "run")!r}, device="cpu", settings={settings!r},
              limits=zoo.Limits(checkpoint_seconds=0), callbacks=[Full()], width=8)
except zoo.RunError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **ENVIRONMENT},
    )
    assert re.match(r"'.*/run/.*' cannot be written: File too large\n$", done.stdout), done.stderr
    assert json.loads((tmp_path / "run/last/state.json").read_text())["step"] in range(1, 21)
    run = zoo.resume(tmp_path / "run", device="cpu")
    one, other = (load_file(path.path / "model.safetensors") for path in (whole, run))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_run_folder_that_goes_away_is_one_line(tmp_path: Path) -> None:
    class Gone(zoo.Callback):
        def step(self, step: zoo.Step) -> None:
            if step.number == 3:
                shutil.rmtree(tmp_path / "run")

    with pytest.raises(zoo.RunError, match="cannot be written: No such file or directory"):
        zoo.train(
            "cnn/fcn",
            "cbf",
            output=tmp_path / "run",
            device="cpu",
            settings={"steps": 10},
            callbacks=[Gone()],
            width=4,
        )
