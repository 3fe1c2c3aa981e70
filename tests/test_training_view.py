"""What one sees of a training: the bar, the metrics, trackers, curves, what was predicted, advice."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.tracking import (
    LOGGER_TYPE_TO_CLASS,
    GeneralTracker,
    get_available_trackers,
    register_tracker_class,
)
from PIL import Image
from rich.console import Console

import zoo
from zoo.advice import Advice, advise
from zoo.commands import reading_options
from zoo.curves import draw_curves
from zoo.data.dataset import Dataset
from zoo.modelcard import write_card
from zoo.outcome import comparison
from zoo.recipes import parse_overrides, resolve_recipe
from zoo.recommender.prospect import foresee
from zoo.registry import installed
from zoo.runs import RunRecord
from zoo.specs import ImagePreprocess, as_dict, to_builtins
from zoo.training import Callback, Step
from zoo.training.bar import ProgressBar
from zoo.training.meter import Meter
from zoo.training.trackers import make_trackers

MODEL = "cnn/lenet5"
SMALL = {"batch_size": 20, "image_size": 16, "affine": None}


def digits(train: int = 60, others: int = 60) -> Dataset:
    """The first of the embedded digits."""
    whole = zoo.load_dataset("digits")
    sizes = {"train": train, "validation": others, "test": others}
    splits = {
        split: {name: column[: sizes[split]] for name, column in columns.items()}
        for split, columns in whole.splits.items()
    }
    problem = whole.problem.replace(samples=train)
    return Dataset(name="digits", source="digits", problem=problem, splits=splits)


def train(output: Path, *callbacks: Callback, **settings: Any) -> zoo.Run:
    chosen = {**SMALL, **settings}
    return zoo.train(MODEL, digits(), output=output, settings=chosen, device="cpu", callbacks=callbacks)


def step(number: int = 1, *, samples: int = 20, waited: float = 0.0) -> Step:
    return Step(number, 0, torch.tensor(0.5), samples, 1e-3, waited)


# -- the bar ----------------------------------------------------------------------------------


def test_without_a_terminal_the_bar_is_a_line_for_each_evaluation(tmp_path: Path) -> None:
    told = io.StringIO()
    run = train(tmp_path / "run", ProgressBar(Console(file=told)), epochs=2)
    lines = told.getvalue().splitlines()
    assert len(lines) == len(run.history) == 2
    for line, row in zip(lines, run.history, strict=True):
        assert re.fullmatch(
            rf"step +{row['step']}  loss {row['loss']:.4f}  validation accuracy "
            rf"{row['validation']['accuracy']:.4f}  [\d,]+ samples/s  waiting \d+%  [\d.]+ [MG]B  "
            r"[\d.]+ \w, [\d.]+ \w left",
            line,
        )
    assert lines[-1].endswith("0.0 s left")


def test_on_a_terminal_the_bar_is_live(tmp_path: Path) -> None:
    told = io.StringIO()
    bar = ProgressBar(Console(file=told, force_terminal=True, width=200))
    run = zoo.Run(tmp_path, record())
    bar.start(run, 100, 0)
    time.sleep(0.3)
    bar.step(step(40, samples=300, waited=0.1))
    bar.epoch({"step": 40, "loss": 0.5, "validation": {"accuracy": 0.9}})
    time.sleep(0.3)
    bar.step(step(80))
    bar.end(run)
    shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", told.getvalue())
    last = shown.replace("\r", "\n").strip().splitlines()[-1]
    assert MODEL in last
    assert "80/100" in last
    assert "left 0:00" in last
    assert re.search(r"loss 0\.5000  accuracy 0\.9000  \d+ samples/s  waiting 0%  [\d.]+ [MG]B", last)
    assert re.search(r"waiting (2|3)\d%", shown)  # of 0.3 s or a little more


def test_the_meter_counts_from_its_start_and_tells_the_share_of_waiting() -> None:
    meter = Meter()
    meter.step(step(samples=1000, waited=100.0))
    assert meter.row()["waiting"] == 1.0
    meter.start()
    for _ in range(4):
        meter.step(step(samples=10, waited=0.05))
    time.sleep(0.4)
    row = meter.row()
    assert 0.1 < row["waiting"] <= 0.5
    assert 1 < row["samples_per_second"] <= 100
    assert 1e7 < row["memory_bytes"] < 1e12


def test_each_evaluation_is_recorded_with_its_speed(tmp_path: Path) -> None:
    for row in train(tmp_path / "run", epochs=2).history:
        assert row["samples_per_second"] > 0
        assert 0 <= row["waiting"] <= 1
        assert row["memory_bytes"] > 1e7


# -- trackers ---------------------------------------------------------------------------------


class Seen(Callback):
    """Keeps each step's loss."""

    def __init__(self) -> None:
        self.losses: dict[int, float] = {}

    def step(self, step: Step) -> None:
        self.losses[step.number] = float(step.loss)


def silent(line: str) -> None:
    pytest.fail(line)


def test_tensorboard_has_the_settings_the_losses_and_every_evaluation(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    seen = Seen()
    run = train(tmp_path / "run", seen, *make_trackers(["tensorboard"] * 2, silent), steps=30, lr=2e-3)
    events = EventAccumulator(str(run.path / "tensorboard")).Reload()
    found = {
        tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]
    }
    assert found["train/loss"] == [(number, pytest.approx(seen.losses[number])) for number in (10, 20, 30)]
    assert found["train/lr"][0][1] == pytest.approx(2e-3, rel=0.5)
    for name in ("accuracy", "cross_entropy"):
        wanted = [(row["step"], pytest.approx(row["validation"][name])) for row in run.history]
        assert found[f"validation/{name}"] == wanted
    assert found["test/accuracy"] == [(30, pytest.approx(run.metrics["accuracy"]))]
    assert len(found["samples_per_second"]) == len(run.history)
    (written,) = (run.path / "tensorboard").glob("*/hparams.yml")
    settings = written.read_text()
    for line in ("model: cnn/lenet5", "data: digits", "lr: 0.002", "momentum: 0.9", "image_size: 16"):
        assert line in settings


def missing_tracker() -> str:
    return next(name for name in LOGGER_TYPE_TO_CLASS if name not in map(str, get_available_trackers()))


def test_a_tracker_that_is_unknown_or_not_installed_is_one_line() -> None:
    with pytest.raises(
        zoo.TrainingError, match=r"no tracker named 'tensorbord'; did you mean 'tensorboard'\?"
    ):
        make_trackers(["tensorbord"], silent)
    name = missing_tracker()
    with pytest.raises(zoo.TrainingError, match=f"{name!r} is not installed; install it: pip install {name}"):
        make_trackers([name], silent)


@pytest.fixture
def custom() -> Iterator[Callable[[int], list[Any]]]:
    """Makes accelerate know a tracker named `own` that fails at the call of that number; gives its calls."""

    def make(fails_at: int) -> list[Any]:
        calls: list[Any] = []

        class Own(GeneralTracker):  # type: ignore[misc]
            name, requires_logging_directory, tracker = "own", False, None

            def __init__(self, project: str) -> None:
                super().__init__()

            def called(self, what: Any) -> None:
                calls.append(what)
                if len(calls) == fails_at:
                    raise ConnectionError("the server\nis gone")

            def start(self) -> None:
                self.called("start")

            def log(self, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> None:
                self.called(step)

            def finish(self) -> None:
                self.called("finish")

        register_tracker_class(Own)
        return calls

    yield make
    LOGGER_TYPE_TO_CLASS.pop("own", None)


def test_a_tracker_that_fails_on_the_way_is_told_of_once_and_harms_no_training(
    tmp_path: Path, custom: Callable[[int], list[Any]]
) -> None:
    calls, warned = custom(3), list[str]()
    run = train(tmp_path / "run", *make_trackers(["own"], warned.append), epochs=4)
    assert run.record.state == "finished"
    assert calls == ["start", 3, 6]
    assert warned == [
        "tracker 'own' failed and is not used any more: ConnectionError: the server; the run itself goes on"
    ]


def test_a_tracker_that_does_not_start_ends_the_training_before_its_first_step(
    tmp_path: Path, custom: Callable[[int], list[Any]]
) -> None:
    custom(1)
    with pytest.raises(zoo.TrainingError, match="'own' does not start: ConnectionError: the server; mend"):
        train(tmp_path / "run", *make_trackers(["own"], silent), epochs=1)
    assert zoo.Run.open(tmp_path / "run").history == []


# -- curves and the model card ----------------------------------------------------------------


def record(**changes: Any) -> RunRecord:
    """A finished run's, of ten classes."""
    problem = zoo.load_dataset("digits").problem
    made = RunRecord(
        model=MODEL,
        problem=problem,
        preprocess=ImagePreprocess(channels=1, height=32, width=32),
        recipe=resolve_recipe(installed().model(MODEL)[0], problem.task),
        source="digits",
        data={"name": "digits"},
        state="finished",
        steps=100,
        seconds=12.0,
        best={"step": 60, "accuracy": 0.97},
        metrics={"accuracy": 0.96},
        baseline={"name": "majority class", "metrics": {"accuracy": 0.1}},
    )
    return made.replace(**changes)


def rows(
    losses: list[float], accuracies: list[float], unseen: list[float] | None = None, **more: Any
) -> list[dict[str, Any]]:
    """A history of ten steps and two seconds for each evaluation."""
    return [
        {
            "step": 10 * number,
            "epoch": number,
            "seconds": 2.0 * number,
            "loss": loss,
            "lr": 1e-3,
            "validation": {
                "accuracy": accuracy,
                **({"cross_entropy": unseen[number - 1]} if unseen else {}),
            },
            **more,
        }
        for number, (loss, accuracy) in enumerate(zip(losses, accuracies, strict=True), start=1)
    ]


def written(folder: Path, history: list[dict[str, Any]], **changes: Any) -> zoo.Run:
    """A run folder with that history."""
    folder.mkdir(exist_ok=True)
    lines = "".join(f"{json.dumps(row)}\n" for row in history)
    (folder / "metrics.jsonl").write_text(lines)
    return zoo.Run(folder, record(**changes)).save(record(**changes))


FALL = [2.2, 1.2, 0.7, 0.4, 0.3, 0.25, 0.22, 0.2, 0.19, 0.185]
RISE = [0.3, 0.6, 0.8, 0.9, 0.94, 0.95, 0.955, 0.96, 0.965, 0.97]
SETTLES = [1.8, 1.0, 0.6, 0.4, 0.3, 0.25, 0.23, 0.21, 0.2, 0.195]


def test_the_curves_are_a_picture_in_the_card_and_the_same_for_the_same_run(tmp_path: Path) -> None:
    task = installed().task("image-classification")
    run = written(tmp_path, rows(FALL, RISE))
    write_card(run, task)
    with Image.open(tmp_path / "curves.png") as picture:
        assert picture.format == "PNG"
        assert picture.width > 600
        assert len(picture.convert("RGB").getcolors(1 << 16) or ()) > 10
    first = (tmp_path / "curves.png").read_bytes()
    assert "![learning curves](curves.png)" in (tmp_path / "README.md").read_text()
    write_card(run, task)
    assert (tmp_path / "curves.png").read_bytes() == first
    assert draw_curves(run.history[:5], task) != first


def test_a_card_compares_with_the_baseline_and_with_what_was_predicted(tmp_path: Path) -> None:
    predicted = {"seconds": {"low": 7.2, "high": 22.4}, "score": None, "steps": 100, "notes": ["no score"]}
    run = written(tmp_path, rows(FALL, RISE, memory_bytes=843_000_000), predicted=predicted)
    write_card(run, installed().task("image-classification"))
    card = (tmp_path / "README.md").read_text()
    assert "| accuracy | 96.0% | 10.0% | 97.0% |" in card
    assert "Which of K classes an image shows" in card
    assert "- time: 12 s (predicted 7.2 to 22 s)\n- memory: 843 MB\n- note: no score\n" in card


def test_a_training_that_was_cut_short_is_not_held_against_the_whole_prediction() -> None:
    predicted = {"seconds": {"low": 45.0, "high": 300.0}, "steps": 400}
    lines = dict(comparison(record(predicted=predicted), [], installed().task("image-classification")))
    assert lines == {"time": "12 s (predicted 45 s to 5 m for all 400 steps)"}


# -- what was predicted -----------------------------------------------------------------------


def prospects(**changes: Any) -> dict[str, Any]:
    """What is foreseen for `cnn/lenet5` on the digits, with some settings changed."""
    registry = installed()
    model, _ = registry.model(MODEL)
    given: dict[str, Any] = {"model": model, "settings": {}, "device": "cpu", "options": {}, **changes}
    problem = zoo.load_dataset("digits").problem
    return foresee(
        registry,
        given["model"],
        problem,
        resolve_recipe(model, problem.task, overrides=given["settings"]),
        given["device"],
        options=given["options"],
    )


def test_a_training_by_the_models_own_recipe_is_predicted_as_it_is_recommended() -> None:
    told = prospects()
    answer = zoo.recommend(data="digits", device="cpu", pretrained=False, top=5000)
    choice = next(c for c in answer.recommendations if c.model == MODEL)
    assert told["score"] == to_builtins(choice.score)
    assert told["memory_bytes"]["method"] == to_builtins(choice.memory_bytes)["method"]
    assert choice.seconds is not None
    assert 0 < told["seconds"]["low"] < told["seconds"]["value"] < told["seconds"]["high"]
    assert told["seconds"]["value"] < choice.seconds.value  # which counts the start of the process
    assert (told["steps"], told["notes"]) == (800, [])


def test_what_is_not_known_is_not_predicted() -> None:
    assert prospects(settings={"seed": 3, "eval_batch_size": 64})["score"] is not None
    other = prospects(settings={"lr": 0.5, "epochs": 3})
    assert other["score"] is None
    assert other["seconds"]["value"] < prospects()["seconds"]["value"]
    assert other["notes"] == ["no score is predicted: the recipe is not the model's own in epochs, lr"]
    wider = prospects(options={"width": 3})
    assert [wider[name] for name in ("score", "memory_bytes", "seconds")] == [None] * 3
    assert wider["notes"] == ["nothing is predicted: width makes it another model than was measured"]
    model, _ = installed().model(MODEL)
    untraced = prospects(model=replace(model, spec=model.spec.replace(facts=None)))
    assert (untraced["seconds"], untraced["memory_bytes"]) == (None, None)
    gone = prospects(device="a-device-of-nobody")
    assert gone["seconds"] is None
    assert gone["notes"][0].startswith("nothing is predicted: no device named 'a-device-of-nobody'")
    assert untraced["notes"] == [
        "no time or memory is predicted: the facts of cnn/lenet5 were never traced: zoo profile cnn/lenet5"
    ]


def test_on_a_gpu_memory_is_predicted_as_a_process_sees_it() -> None:
    here, there = prospects(), prospects(device="rtx-4090")
    assert there["memory_bytes"]["value"] < here["memory_bytes"]["value"]
    assert there["memory_bytes"]["method"].endswith("less the device's own context")


def test_a_run_keeps_what_was_predicted(tmp_path: Path) -> None:
    run = train(tmp_path / "run", epochs=1)
    kept = json.loads((run.path / "run.json").read_text())["predicted"]
    assert kept["seconds"]["low"] < kept["seconds"]["high"]
    assert kept["memory_bytes"]["value"] > 1e8
    assert kept["score"] is None
    assert kept["notes"][0].startswith("no score is predicted: the recipe is not the model's own in affine")
    assert f"(predicted {kept['seconds']['low']:.1f} " in (run.path / "README.md").read_text()


# -- advice, on real trainings ----------------------------------------------------------------

REAL: dict[str, tuple[dict[str, Any], set[str]]] = {
    "by heart": ({"steps": 90, "weight_decay": 0.0, "lr": 3e-3}, {"overfitting"}),
    "one step": ({"epochs": 1, "batch_size": 60}, {"underfitting"}),
    "slow": ({"epochs": 6, "lr": 1e-6, "precision": "fp32"}, {"learning rate too small"}),
    "wild": ({"epochs": 6, "lr": 10.0, "optimizer": "sgd"}, {"learning rate too large"}),
}


@pytest.mark.parametrize("name", REAL)
def test_what_is_wrong_with_a_training_is_found_and_its_mend_can_be_run(tmp_path: Path, name: str) -> None:
    settings, wanted = REAL[name]
    run = train(tmp_path / "run", **settings)
    found = advise(run, installed())
    assert {advice.title for advice in found} == wanted
    changed = changes_of(found[0], run)
    expected = {
        "by heart": {"weight_decay", "label_smoothing", "affine"},
        "one step": {"epochs"},
        "slow": {"lr"},
        "wild": {"lr"},
    }
    assert changed.keys() == expected[name]
    if "lr" in changed:
        assert changed["lr"] / run.record.recipe.lr == pytest.approx(10 if name == "slow" else 0.1)


@pytest.mark.parametrize(
    ("model", "data", "settings"),
    [
        (MODEL, "digits", {"epochs": 8, "image_size": 16}),
        ("cnn/fcn", "cbf", {"steps": 40, "batch_size": 10, "precision": "fp32"}),
    ],
)
def test_a_healthy_training_gets_no_advice(
    tmp_path: Path, model: str, data: str, settings: dict[str, Any]
) -> None:
    run = zoo.train(model, data, output=tmp_path / "run", settings=settings, device="cpu")
    assert run.metrics["accuracy"] > 0.8
    assert advise(run, installed()) == []


def changes_of(advice: Advice, run: zoo.Run) -> dict[str, Any]:
    """What the command of an advice would train with, where that differs from the run."""
    words = shlex.split(advice.command)
    assert words[:5] == ["zoo", "train", run.record.model, "--data", run.record.source]
    assert words[5::2] == ["-o"] * (len(words[5:]) // 2)
    model, _ = installed().model(run.record.model)
    recipe = resolve_recipe(model, run.record.problem.task, overrides=parse_overrides(words[6::2]))
    before = as_dict(run.record.recipe)
    return {name: value for name, value in as_dict(recipe).items() if value != before[name]}


# -- advice, on written histories -------------------------------------------------------------

HEALTHY = rows(FALL, RISE, SETTLES)
LATE_TURN = [0.5, 0.7, 0.85, 0.9, 0.9, 0.85, 0.8, 0.78, 0.76, 0.75]
HISTORIES: dict[str, tuple[list[dict[str, Any]], dict[str, Any], list[str], str]] = {
    "healthy": (HEALTHY, {}, [], ""),
    "waiting for data": (rows(FALL, RISE, SETTLES, waiting=0.4), {}, ["data-bound"], "40% of the time"),
    "hardly waiting": (rows(FALL, RISE, SETTLES, waiting=0.2), {}, [], ""),
    "validation turns": (rows(FALL, LATE_TURN), {}, ["overfitting"] * 2, "best at step 40, accuracy 90.0%"),
    "validation loss turns": (
        rows(FALL, [min(r, 0.9) for r in RISE], [1.8, 1, 0.6, 0.5, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9]),
        {},
        ["overfitting"] * 2,
        "the loss is 0.18 on training and 0.9 on validation, where it was once 0.45",
    ),
    "still learning": (
        rows(FALL, [0.1, 0.2, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.65, 0.75]),
        {},
        ["underfitting"],
        "accuracy 55.0% became accuracy 75.0% in the last quarter",
    ),
    "interrupted while it learned": (
        rows(FALL[:4], [0.1, 0.3, 0.5, 0.7]),
        {"state": "interrupted", "baseline": {}},
        [],
        "",
    ),
    "never fitted": (
        rows([2.3, 2.0, 1.8, 1.7, 1.65, 1.6], [0.2, 0.3, 0.4, 0.45, 0.45, 0.46]),
        {},
        ["underfitting"],
        "the loss ends at 1.6, where guessing alone costs 2.3",
    ),
    "nothing learned": (
        rows([2.31, 2.304, 2.306, 2.305, 2.307, 2.302], [0.1, 0.11, 0.1, 0.12, 0.1, 0.11]),
        {},
        ["learning rate too large"],
        "never fell below the 2.31 of the first evaluation",
    ),
    "nothing learned yet": (rows([2.3, 2.2], [0.1, 0.12]), {}, ["underfitting"], "after 20 steps"),
    "nothing more to learn": (
        rows([2.3, 1.7, 1.69, 1.7, 1.69, 1.7], [0.1, 0.12, 0.12, 0.12, 0.12, 0.12]),
        {},
        ["underfitting"] * 2,
        "does not fall any more",
    ),
    "a spike": (
        rows([2.2, 0.6, 0.3, 1.5, 0.9, 0.6], [0.3, 0.8, 0.9, 0.5, 0.7, 0.8]),
        {},
        ["learning rate too large"],
        "jumped from 0.3 to 1.5 before step 40",
    ),
    "a ripple near nought": (
        rows([2.2, 0.6, 0.1, 0.01, 0.03, 0.01], [0.3, 0.8, 0.9, 0.96, 0.96, 0.97]),
        {},
        [],
        "",
    ),
    "plateau": (
        rows(FALL, [0.3, 0.9, 0.97, 0.96, 0.965, 0.96, 0.97, 0.96, 0.965, 0.97]),
        {},
        ["plateau"],
        "no better validation after step 30 of 100: accuracy 97.0%",
    ),
    "plateau of accuracy alone": (
        rows(FALL, [0.3, 0.9, 0.97, 0.96, 0.965, 0.96, 0.97, 0.96, 0.965, 0.97], SETTLES),
        {},
        [],
        "",
    ),
    "nothing judged yet": ([], {}, [], ""),
}  # fmt: skip


@pytest.mark.parametrize("name", HISTORIES)
def test_a_course_is_read_as_a_person_would(tmp_path: Path, name: str) -> None:
    history, changes, titles, told = HISTORIES[name]
    found = advise(written(tmp_path, history, **changes), installed())
    assert [advice.title for advice in found] == titles
    assert told in "".join(advice.reason for advice in found)


def test_patience_that_was_asked_for_is_not_advised(tmp_path: Path) -> None:
    history = HISTORIES["plateau"][0]
    recipe = record().recipe.replace(patience=8)
    assert advise(written(tmp_path, history, recipe=recipe), installed()) == []
    (advice,) = advise(written(tmp_path, history), installed())
    assert advice.command == "zoo train cnn/lenet5 --data digits -o patience=3"


def test_errors_that_have_no_upper_end_are_read_too(tmp_path: Path) -> None:
    values = [2.0, 1.0, 0.6, 0.5, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
    history = rows(FALL, values)
    for row in history:
        row["validation"] = {"mase": row["validation"]["accuracy"]}
    problem = zoo.load_dataset("mackey-glass").problem
    made = {"problem": problem, "model": "cnn/tcn", "source": "mackey-glass", "baseline": {}, "metrics": {}}
    found = advise(written(tmp_path, history, **made), installed())
    assert found[0].reason.startswith("validation was best at step 40, mase 0.5, and worsened")
    assert "label_smoothing" not in found[0].command
    assert found[1].command == "zoo recommend --data mackey-glass --objective size"


def test_a_command_repeats_how_the_run_was_made(tmp_path: Path) -> None:
    recipe = record().recipe.replace(steps=50, seed=7)
    made = {
        "recipe": recipe,
        "weights": "cnn/lenet5.digits",
        "options": {"width": 2},
        "source": "my data",
        "data": {"name": "mine", "options": {"columns": {"image": ["path"]}, "strict": True}},
    }
    (advice,) = advise(written(tmp_path, HISTORIES["plateau"][0], **made), installed())
    assert advice.command == (
        "zoo train cnn/lenet5 --data 'my data' --columns image=path --strict --weights digits "
        "--option width=2 -o steps=50 -o seed=7 -o patience=3"
    )
    assert reading_options({"horizon": 12, "group_by": "patient", "strict": False, "seed": 3}) == [
        "--group-by", "patient", "--horizon", "12",
    ]  # fmt: skip


def test_a_run_of_a_model_that_is_gone_is_still_read(tmp_path: Path) -> None:
    (advice,) = advise(written(tmp_path, HISTORIES["plateau"][0], model="gone/model"), installed())
    assert advice.command.startswith("zoo train gone/model --data digits -o epochs=40 ")


# -- the command ------------------------------------------------------------------------------


def command(folder: Path, *arguments: str, status: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "zoo", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "100"},
        cwd=folder,
        check=False,
    )
    assert done.returncode == status, done.stderr
    return done


TRAIN = ("train", MODEL, "--data", "digits", "--output", "run", "-o", "epochs=1", "-o", "lr=1e-6")


def test_results_go_to_stdout_and_advice_to_stderr(tmp_path: Path) -> None:
    done = command(tmp_path, *TRAIN)
    lines = done.stdout.splitlines()
    assert lines[0].startswith("cnn/lenet5 on digits: 20 steps on cpu")
    assert re.fullmatch(r"test +this model +majority class +validation, best at step 20", lines[1])
    assert re.fullmatch(r"accuracy( +\d+\.\d%){3}", lines[2])
    labels = [line.split()[0] for line in lines[3:]]
    assert labels[-1] == "run"
    assert {"cross_entropy", "time", "memory"} <= set(labels)
    assert "advice: underfitting: accuracy" in done.stderr
    assert "        zoo train cnn/lenet5 --data digits -o epochs=5 -o lr=1e-6\n" in done.stderr
    assert "samples/s" in done.stderr


def test_quiet_json_is_json_and_nothing_else(tmp_path: Path) -> None:
    done = command(tmp_path, "-q", *TRAIN, "--json")
    assert done.stderr == ""
    told = json.loads(done.stdout)
    assert (told["schema"], told["state"]) == (1, "finished")
    (advice,) = told["advice"]
    assert advice.keys() >= {"title", "reason", "command"}
    assert advice["title"] == "underfitting"


def test_a_tracker_that_cannot_be_had_is_told_before_anything_is_written(tmp_path: Path) -> None:
    name = missing_tracker()
    done = command(tmp_path, *TRAIN, "--log-with", name, status=1)
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        f"zoo: tracker {name!r} is not installed; install it: pip install {name}"
    ]
    assert list(tmp_path.glob("run*")) == []
