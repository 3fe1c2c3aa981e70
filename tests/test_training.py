"""The trainer: what it writes, that it repeats itself, goes on where it stopped, and overwrites nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

import zoo
from zoo.data.dataset import Dataset
from zoo.testing.training import StopAt
from zoo.training import Callback, Step

CHARTS, IMAGES = "cnn/fcn", "cnn/lenet5"
QUICK: dict[str, dict[str, Any]] = {  # one with batch norm, one without but with random augmentation
    CHARTS: {"epochs": 3, "steps": None, "batch_size": 8},
    IMAGES: {"epochs": 3, "batch_size": 8, "image_size": 16, "affine": [10, 0.1, 0.1]},
}
WIDTH = {CHARTS: 4, IMAGES: 1}


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ZOO_OFFLINE", "1")


def charts(samples: int = 48) -> Dataset:
    """Rising and falling series of 32 steps, a third of them noise."""
    rng = np.random.default_rng(0)

    def split(count: int) -> dict[str, Any]:
        labels = np.arange(count) % 2
        trend = np.linspace(-1, 1, 32)[None, :, None] * (2 * labels - 1)[:, None, None]
        return {"series": (trend + rng.normal(0, 1, (count, 32, 1))).astype(np.float32), "labels": labels}

    problem = zoo.Problem(
        task="series-classification",
        input=zoo.SeriesInput(channels=1, length=32),
        output=zoo.Classes(count=2, names=("falling", "rising")),
        samples=samples,
    )
    return Dataset(
        name="charts",
        problem=problem,
        splits={"train": split(samples), "validation": split(20), "test": split(20)},
    )


def images(samples: int = 48) -> Dataset:
    """The first digits of the embedded sample."""
    whole = zoo.load_dataset("digits")
    sizes = {"train": samples, "validation": 30, "test": 30}
    splits = {
        split: {name: column[: sizes[split]] for name, column in columns.items()}
        for split, columns in whole.splits.items()
    }
    return Dataset(name="few", problem=whole.problem.replace(samples=samples), splits=splits)


def data_of(model: str) -> Dataset:
    return charts() if model == CHARTS else images()


def train(model: str, output: Path, *callbacks: Callback, **settings: Any) -> zoo.Run:
    chosen = {**QUICK[model], **settings}
    return zoo.train(
        model,
        data_of(model),
        output=output,
        settings={key: value for key, value in chosen.items() if value is not None} | _steps(chosen),
        device="cpu",
        callbacks=callbacks,
        width=WIDTH[model],
    )


def _steps(chosen: dict[str, Any]) -> dict[str, Any]:
    return {"steps": chosen["steps"]} if "steps" in chosen else {}


class Losses(Callback):
    """Keeps each step's loss."""

    def __init__(self) -> None:
        self.values: list[float] = []

    def step(self, step: Step) -> None:
        self.values.append(float(step.loss))


def weights_of(run: zoo.Run) -> dict[str, Tensor]:
    return load_file(run.path / "model.safetensors")


def last_of(run: zoo.Run) -> dict[str, Tensor]:
    """Every tensor of the last checkpoint."""
    (file,) = (run.path / "last").glob("step-*.safetensors")
    return load_file(file)


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def timeless(run: zoo.Run) -> list[dict[str, Any]]:
    measured = {"seconds", "samples_per_second", "waiting", "memory_bytes"}
    return [{key: value for key, value in row.items() if key not in measured} for row in run.history]


# -- what a run is --


def test_a_run_folder_is_what_the_design_says(tmp_path: Path) -> None:
    run = train(CHARTS, tmp_path / "run")
    assert {path.name for path in run.path.iterdir()} == {
        "run.json",
        "metrics.jsonl",
        "model.safetensors",
        "config.json",
        "README.md",
        "curves.png",
        "last",
    }
    record = json.loads((run.path / "run.json").read_text())
    assert record["schema"] == 1
    assert (record["state"], record["model"], record["steps"]) == ("finished", CHARTS, 18)
    assert record["options"] == {"width": 4}
    assert record["recipe"]["batch_size"] == 8
    assert record["data"]["fingerprint"] == charts().fingerprint()
    assert record["versions"]["torch"] == metadata.version("torch")
    assert record["labels"] == ["falling", "rising"]
    macro = {"macro_f1", "balanced_accuracy"}
    assert record["metrics"].keys() == {"accuracy", "cross_entropy"} | macro
    assert record["baseline"]["name"] == "majority class"
    assert record["baseline"]["metrics"].keys() == {"accuracy"} | macro
    assert record["baseline"]["metrics"]["accuracy"] == 0.5
    assert [row["step"] for row in run.history] == [6, 12, 18]
    assert [row["epoch"] for row in run.history] == [1, 2, 3]
    card = (run.path / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: torch-zoo\n")
    assert "majority class" in card
    assert json.loads((run.path / "config.json").read_text())["zoo"]["model"] == CHARTS
    assert zoo.Run.open(run.path).record == run.record


def test_weights_carry_their_receipt_and_come_back(tmp_path: Path) -> None:
    from zoo.weights.headers import read_header

    run = train(CHARTS, tmp_path / "run")
    receipt = read_header(run.weights_path).document("zoo")
    assert receipt["model"] == CHARTS
    assert receipt["data"]["name"] == "charts"
    assert same(dict(zoo.load(run.path).state_dict()), weights_of(run))


def test_whoever_may_read_a_run_may_read_its_weights(tmp_path: Path) -> None:
    run = train(CHARTS, tmp_path / "run")
    tensors = [run.weights_path, *(run.path / "last").glob("*.safetensors")]
    assert {file.stat().st_mode for file in tensors} == {(run.path / "run.json").stat().st_mode}


def test_a_training_learns(tmp_path: Path) -> None:
    run = train(CHARTS, tmp_path / "run", epochs=10, lr=1e-2)
    assert run.metrics["accuracy"] >= 0.9
    assert run.history[-1]["loss"] < 0.7 * run.history[0]["loss"]


# -- the same again --


@pytest.mark.parametrize("model", [CHARTS, IMAGES])
def test_one_seed_gives_one_curve_and_another_seed_another(tmp_path: Path, model: str) -> None:
    curves = []
    for number, seed in enumerate((3, 3, 4)):
        losses = Losses()
        run = train(model, tmp_path / str(number), losses, seed=seed)
        curves.append((losses.values, timeless(run), weights_of(run)))
    assert curves[0][0] == curves[1][0]
    assert curves[0][1] == curves[1][1]
    assert same(curves[0][2], curves[1][2])
    assert curves[0][0] != curves[2][0]


CASES: list[tuple[str, int, dict[str, Any]]] = [
    (CHARTS, 1, {}),  # before the first checkpoint
    (CHARTS, 8, {}),  # in the middle of an epoch
    (CHARTS, 12, {"optimizer": "sgd", "warmup_epochs": 1}),  # at the end of an epoch
    (CHARTS, 18, {}),  # after the last step
    (IMAGES, 8, {"ema_decay": 0.9}),
    (IMAGES, 9, {"accumulate": 2, "mixup": 0.2, "grad_clip": 1.0}),
]


@pytest.mark.parametrize(("model", "stop", "settings"), CASES)
def test_a_run_that_was_interrupted_goes_on_as_if_it_had_not_been(
    tmp_path: Path, model: str, stop: int, settings: dict[str, Any]
) -> None:
    whole = train(model, tmp_path / "whole", **settings)
    with pytest.raises(KeyboardInterrupt):
        train(model, tmp_path / "parts", StopAt(stop), **settings)
    assert zoo.Run.open(tmp_path / "parts").record.state == "interrupted"
    parts = zoo.resume(tmp_path / "parts", data=data_of(model), device="cpu")
    assert parts.record.state == "finished"
    assert same(weights_of(parts), weights_of(whole))
    assert same(last_of(parts), last_of(whole))
    assert timeless(parts) == timeless(whole)
    assert parts.metrics == whole.metrics


def test_a_run_may_be_interrupted_again_and_again(tmp_path: Path) -> None:
    whole = train(IMAGES, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(IMAGES, tmp_path / "parts", StopAt(2))
    for stop in (5, 6, 13):
        with pytest.raises(KeyboardInterrupt):
            zoo.resume(tmp_path / "parts", data=images(), device="cpu", callbacks=[StopAt(stop)])
    parts = zoo.resume(tmp_path / "parts", data=images(), device="cpu")
    assert same(weights_of(parts), weights_of(whole))
    assert timeless(parts) == timeless(whole)


class Signal(Callback):
    """Sends this process Ctrl-C's signal in the middle of the forward pass of step `number`."""

    def __init__(self, number: int) -> None:
        self.number, self.hook = number, None

    def step(self, step: Step) -> None:
        if step.number == self.number - 1:
            self.hook = torch.nn.modules.module.register_module_forward_hook(self._kill)

    def _kill(self, module: torch.nn.Module, inputs: Any, output: Any) -> None:
        if isinstance(module, torch.nn.BatchNorm1d):  # its running mean has moved, its weights have not
            self.hook.remove()  # type: ignore[attr-defined]
            os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c_in_the_middle_of_a_step_leaves_no_half_step_behind(tmp_path: Path) -> None:
    whole = train(CHARTS, tmp_path / "whole")
    former = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    try:
        with pytest.raises(KeyboardInterrupt):
            train(CHARTS, tmp_path / "parts", Signal(9))
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, former)
    parts = zoo.resume(tmp_path / "parts", data=charts(), device="cpu")
    assert same(weights_of(parts), weights_of(whole))
    assert timeless(parts) == timeless(whole)


def test_a_process_killed_outright_loses_nothing_but_time(tmp_path: Path) -> None:
    settings = {"steps": 250, "batch_size": 8}
    command = [sys.executable, "-m", "zoo", "-q", "train", CHARTS, "--data", "cbf", "--option", "width=4"]
    command += [part for key, value in settings.items() for part in ("-o", f"{key}={value}")]
    command += ["--device", "cpu", "--output", str(tmp_path / "parts")]
    threads = {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    process = subprocess.Popen(command, env={**os.environ, **threads}, stderr=subprocess.PIPE)
    while not (tmp_path / "parts" / "last" / "state.json").exists():
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.002)
    process.kill()
    process.communicate()
    assert zoo.Run.open(tmp_path / "parts").record.state == "running"
    parts = zoo.resume(tmp_path / "parts", device="cpu")
    whole = zoo.train(CHARTS, "cbf", output=tmp_path / "whole", settings=settings, device="cpu", width=4)
    assert same(weights_of(parts), weights_of(whole))
    assert same(last_of(parts), last_of(whole))
    assert timeless(parts) == timeless(whole)


def test_a_run_killed_while_its_first_checkpoint_was_written_begins_anew(tmp_path: Path) -> None:
    whole = train(CHARTS, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(CHARTS, tmp_path / "parts", StopAt(4))
    (tmp_path / "parts" / "last" / "state.json").unlink()
    parts = zoo.resume(tmp_path / "parts", data=charts(), device="cpu")
    assert same(weights_of(parts), weights_of(whole))
    assert timeless(parts) == timeless(whole)


def test_a_line_of_metrics_cut_short_is_written_again(tmp_path: Path) -> None:
    whole = train(CHARTS, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(CHARTS, tmp_path / "parts", StopAt(8))
    with (tmp_path / "parts" / "metrics.jsonl").open("a") as file:
        file.write('{"step": 12, "epo')
    parts = zoo.resume(tmp_path / "parts", data=charts(), device="cpu")
    assert timeless(parts) == timeless(whole)


def test_a_fine_tuning_killed_before_its_first_checkpoint_still_starts_from_its_weights(
    tmp_path: Path,
) -> None:
    first = train(CHARTS, tmp_path / "first")

    def tune(output: Path, *callbacks: Callback) -> zoo.Run:
        return zoo.train(
            CHARTS,
            charts(),
            output=output,
            weights=str(first.path),
            settings=QUICK[CHARTS],
            device="cpu",
            callbacks=callbacks,
            width=4,
        )

    class Crash(Callback):
        def step(self, step: Step) -> None:
            raise RuntimeError("as sudden as a power cut")

    whole = tune(tmp_path / "whole")
    with pytest.raises(RuntimeError):
        tune(tmp_path / "parts", Crash())
    parts = zoo.resume(tmp_path / "parts", data=charts(), device="cpu")
    assert same(weights_of(parts), weights_of(whole))
    assert timeless(parts) == timeless(whole)


def test_a_finished_run_is_not_gone_on_with(tmp_path: Path) -> None:
    run = train(CHARTS, tmp_path / "run")
    with pytest.raises(zoo.RunError, match="is finished; train anew, or start from it: --weights"):
        zoo.resume(run.path, data=charts())


def test_a_run_does_not_go_on_with_other_data(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(CHARTS, tmp_path / "run", StopAt(2))
    with pytest.raises(zoo.RunError, match="data 'charts' has changed since it began"):
        zoo.resume(tmp_path / "run", data=charts(40))


# -- nothing overwritten, nothing begun in vain --


def test_an_existing_folder_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "thesis.txt").write_text("years of work")
    with pytest.raises(zoo.RunError, match="exists already; choose another --output"):
        train(CHARTS, tmp_path / "kept")
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["thesis.txt"]


def test_an_existing_run_is_left_as_it_is_and_the_way_on_is_named(tmp_path: Path) -> None:
    run = train(CHARTS, tmp_path / "run")
    before = {path.name: path.stat().st_mtime_ns for path in run.path.iterdir()}
    with pytest.raises(zoo.RunError, match="or go on with: zoo train --resume"):
        train(CHARTS, run.path)
    assert {path.name: path.stat().st_mtime_ns for path in run.path.iterdir()} == before


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    assert train(CHARTS, tmp_path / "run", epochs=1).record.state == "finished"


@pytest.mark.parametrize("inside", ["run", ""])
def test_a_file_in_the_way_is_one_error_and_is_kept(tmp_path: Path, inside: str) -> None:
    (tmp_path / "file").write_text("kept")
    with pytest.raises(zoo.RunError, match="choose another --output") as caught:
        train(CHARTS, tmp_path / "file" / inside)
    assert "\n" not in str(caught.value)
    assert (tmp_path / "file").read_text() == "kept"


BAD: list[tuple[dict[str, Any], list[str]]] = [
    (
        {"learning_rate": 1, "batch_size": 0, "schedule": "cosin", "lr": "fast", "epoch": 3},
        [
            "5 faults",
            "unknown key 'learning_rate'",
            "unknown key 'epoch'; did you mean 'epochs'?",
            "batch_size = 0",
            "schedule = 'cosin'",
            "lr = 'fast'",
        ],
    ),
    ({"accumulate": 3, "batch_size": 8}, ["accumulate = 3: does not divide batch_size = 8"]),
    ({"optimizer": "adamv"}, ["optimizer = 'adamv': no such optimizer; did you mean 'adam"]),
]


@pytest.mark.parametrize(("settings", "told"), BAD)
def test_bad_settings_are_all_told_at_once_and_nothing_is_written(
    tmp_path: Path, settings: dict[str, Any], told: list[str]
) -> None:
    with pytest.raises(zoo.SpecError) as caught:
        zoo.train(CHARTS, charts(), output=tmp_path / "run", settings=settings)
    for part in told:
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


REFUSED: list[tuple[str, dict[str, Any], type[zoo.ZooError], str]] = [
    (IMAGES, {}, zoo.SpecError, "does not do 'series-classification'"),
    (CHARTS, {"depth": 3}, zoo.SpecError, "has no option 'depth'"),
    (CHARTS, {"device": "abacus"}, zoo.TrainingError, "device 'abacus' cannot be trained on"),
    (CHARTS, {"recipe": "missing.toml"}, zoo.DataError, "recipe 'missing.toml' cannot be read"),
    (CHARTS, {"weights": "nonesuch"}, zoo.UnknownNameError, "no weights tagged 'nonesuch'"),
]


@pytest.mark.parametrize(("model", "arguments", "error", "told"), REFUSED)
def test_what_cannot_be_trained_is_refused_before_anything_is_written(
    tmp_path: Path, model: str, arguments: dict[str, Any], error: type[zoo.ZooError], told: str
) -> None:
    with pytest.raises(error, match=told):
        zoo.train(model, charts(), output=tmp_path / "run", **arguments)
    assert not (tmp_path / "run").exists()


def test_a_recipe_file_takes_the_place_of_the_plugins_recipe(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("epochs = 1\nbatch_size = 12\n")
    run = zoo.train(
        CHARTS, charts(), output=tmp_path / "run", recipe=file, settings={"lr": 0.01}, device="cpu", width=4
    )
    assert (run.record.recipe.batch_size, run.record.recipe.lr, run.record.steps) == (12, 0.01, 4)


# -- a training that goes wrong --


@pytest.mark.parametrize(("number", "told", "kept"), [(8, "loss", 6), (12, "validation cross_entropy", 6)])
def test_a_loss_that_is_no_number_is_one_error_and_the_last_good_state_is_kept(
    tmp_path: Path, number: int, told: str, kept: int
) -> None:
    class Blast(Callback):
        """Spoils the weights after step `number`."""

        def step(self, step: Step) -> None:
            if step.number == number:
                self.hook = torch.nn.modules.module.register_module_forward_pre_hook(self._spoil)

        def _spoil(self, module: torch.nn.Module, inputs: Any) -> None:
            if isinstance(module, torch.nn.Linear):
                self.hook.remove()
                with torch.no_grad():
                    module.weight.fill_(torch.inf)

    with pytest.raises(zoo.TrainingError, match=f"the {told} is no longer a number") as caught:
        train(CHARTS, tmp_path / "run", Blast())
    assert "\n" not in str(caught.value)
    run = zoo.Run.open(tmp_path / "run")
    assert json.loads((run.path / "last" / "state.json").read_text())["step"] == kept
    assert [row["step"] for row in run.history] == list(range(6, kept + 1, 6))
    for path in run.path.rglob("*.safetensors"):
        assert all(tensor.isfinite().all() for tensor in load_file(path).values()), path
    assert zoo.resume(run.path, data=charts(), device="cpu").record.state == "finished"


def test_a_learning_rate_that_is_far_too_high_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(
        zoo.TrainingError, match=r"no longer a number.*try: -o lr=.* -o grad_clip=1"
    ) as caught:
        train(CHARTS, tmp_path / "run", optimizer="sgd", lr=1e30)
    assert "\n" not in str(caught.value)
    for path in (tmp_path / "run").rglob("*.safetensors"):
        assert all(tensor.isfinite().all() for tensor in load_file(path).values()), path


# -- settings that change how --


def test_two_half_batches_are_one_batch(tmp_path: Path) -> None:
    curves = []
    for accumulate in (1, 2):
        losses = Losses()
        settings = {"epochs": 1, "batch_size": 16, "precision": "fp32"}  # of which bf16 would lose the end
        train(IMAGES, tmp_path / str(accumulate), losses, accumulate=accumulate, **settings)
        curves.append(losses.values)
    assert len(curves[0]) == 3
    assert curves[0] == pytest.approx(curves[1], abs=1e-5)


def test_a_training_stops_where_patience_ends(tmp_path: Path) -> None:
    run = train(CHARTS, tmp_path / "run", epochs=9, lr=1e-30, weight_decay=0.0, patience=2)
    assert [row["step"] for row in run.history] == [6, 12, 18]
    assert (run.record.steps, run.record.state) == (18, "finished")
    assert run.record.best["step"] == 6


def test_a_run_interrupted_where_patience_ended_does_not_train_on(tmp_path: Path) -> None:
    class StopAtEpoch(Callback):
        def epoch(self, row: dict[str, Any]) -> None:
            if row["step"] == 12:
                raise KeyboardInterrupt

    settings = {"epochs": 9, "lr": 1e-30, "weight_decay": 0.0, "patience": 1}
    with pytest.raises(KeyboardInterrupt):
        train(CHARTS, tmp_path / "run", StopAtEpoch(), **settings)
    run = zoo.resume(tmp_path / "run", data=charts(), device="cpu")
    assert (run.record.steps, run.record.state) == (12, "finished")
    assert [row["step"] for row in run.history] == [6, 12]


def test_the_weights_kept_are_those_of_the_best_validation(tmp_path: Path) -> None:
    run = train(CHARTS, tmp_path / "run", epochs=8, lr=0.3, optimizer="sgd", schedule="constant")
    reached = [row["validation"]["accuracy"] for row in run.history]
    best = run.history[reached.index(max(reached))]  # the first of equals
    assert len(set(reached)) > 1
    assert best is not run.history[-1]
    assert run.record.best == {"step": best["step"], **best["validation"]}
    found = zoo.evaluate(run.path, charts(), split="validation")
    assert found.metrics["accuracy"].value == pytest.approx(max(reached))
    assert run.metrics["accuracy"] == pytest.approx(
        zoo.evaluate(run.path, charts()).metrics["accuracy"].value
    )


def test_the_weights_averaged_are_those_judged_and_kept(tmp_path: Path) -> None:
    """Exponential moving average, by its own recursion: a3 = 0.8 a2 + 0.2 w3."""
    runs = {
        steps: train(CHARTS, tmp_path / str(steps), steps=steps, ema_decay=0.8, schedule="constant")
        for steps in (2, 3)
    }
    before, after = last_of(runs[2]), last_of(runs[3])
    for name in ("head.weight", "blocks.0.1.weight"):
        expected = 0.8 * before[f"average.{name}"] + 0.2 * after[f"model.{name}"]
        torch.testing.assert_close(after[f"average.{name}"], expected)
    once = train(CHARTS, tmp_path / "once", epochs=1, ema_decay=0.8)
    assert torch.equal(weights_of(once)["head.weight"], last_of(once)["average.head.weight"])
    assert not torch.equal(weights_of(once)["head.weight"], last_of(once)["model.head.weight"])


@pytest.mark.parametrize("schedule", ["cosine", "linear", "step", "constant"])
def test_a_schedule_ends_where_it_should(tmp_path: Path, schedule: str) -> None:
    rates: list[float] = []

    class Rates(Callback):
        def step(self, step: Step) -> None:
            rates.append(step.lr)

    train(CHARTS, tmp_path / "run", Rates(), steps=12, lr=0.1, schedule=schedule, warmup_epochs=0.5)
    assert rates[0] == pytest.approx(0.1 / 3)  # half an epoch is three steps
    assert max(rates) == pytest.approx(0.1)
    assert rates == sorted(rates[:3]) + sorted(rates[3:], reverse=True)
    last = {"cosine": 0.0031, "linear": 0.1 / 9, "step": 0.001, "constant": 0.1}[schedule]
    assert rates[-1] == pytest.approx(last, rel=0.05)  # one step of nine before its end


def test_a_callback_sees_the_run_from_start_to_end(tmp_path: Path) -> None:
    seen: list[str] = []

    class Watch(Callback):
        def start(self, run: zoo.Run, total_steps: int, first_step: int) -> None:
            seen.append(f"start {first_step}/{total_steps}")

        def step(self, step: Step) -> None:
            seen.append(f"step {step.number} of {step.samples}")

        def epoch(self, row: dict[str, Any]) -> None:
            seen.append(f"epoch {row['epoch']}")

        def end(self, run: zoo.Run) -> None:
            seen.append(f"end {run.record.state}")

    train(CHARTS, tmp_path / "run", Watch(), epochs=1, batch_size=24)
    assert seen == ["start 0/2", "step 1 of 24", "step 2 of 24", "epoch 1", "end finished"]


def test_a_training_may_start_from_another_runs_weights(tmp_path: Path) -> None:
    first = train(CHARTS, tmp_path / "first", epochs=10, lr=1e-2)
    settings = {**QUICK[CHARTS], "epochs": 1, "lr": 1e-30, "weight_decay": 0.0}
    second = zoo.train(
        CHARTS,
        charts(),
        output=tmp_path / "second",
        weights=str(first.path),
        settings=settings,
        device="cpu",
        width=4,
    )
    assert second.record.weights.startswith(CHARTS)
    assert torch.equal(weights_of(second)["head.weight"], weights_of(first)["head.weight"])


def test_data_with_an_empty_split_is_refused() -> None:
    empty = {"series": np.zeros((0, 32, 1), np.float32), "labels": np.zeros(0, np.int64)}
    whole = charts()
    with pytest.raises(zoo.DataError, match="its validation split is too small"):
        Dataset(name="charts", problem=whole.problem, splits={**whole.splits, "validation": empty})
