"""Weights are trained once more by their receipt: inside their seeds' band, or told to be outside of it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest

import zoo
from zoo.registry import installed
from zoo.reproduction import band
from zoo.runs import Run

MODEL, TAG = "cnn/lenet5", "cnn/lenet5.quick"
Ship = Callable[..., None]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    folder = tmp_path_factory.mktemp("reproduction")
    return [
        zoo.train(
            MODEL, "digits", output=folder / str(seed), settings={"steps": 40, "seed": seed}, device="cpu"
        )
        for seed in range(3)
    ]


@pytest.fixture
def ship(runs: list[Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ship:
    """Makes an installed plugin that brings the first run's weights, its record changed as a test wants."""

    def make(others: list[Run], **changes: object) -> None:
        site, package = tmp_path / "site", tmp_path / "site" / "zoo_mine"
        package.mkdir(parents=True)
        zoo.add_weights(runs[0], package, tag="quick", repeats=others)
        path = package / "weights.json"
        (record,) = json.loads(path.read_text())["weights"]
        path.write_text(json.dumps({"weights": [record | changes]}))
        (package / "__init__.py").write_text(
            "import zoo\n\n\n@zoo.hookimpl\ndef zoo_weights():\n"
            "    return zoo.read_weights(__package__, 'weights.json')\n"
        )
        info = site / "zoo_mine-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: zoo-mine\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[zoo]\nmine = zoo_mine\n")
        monkeypatch.syspath_prepend(str(site))
        monkeypatch.setenv("PYTHONPATH", str(site))
        monkeypatch.setattr(sys, "path", list(sys.path))
        installed.cache_clear()

    yield make
    sys.modules.pop("zoo_mine", None)
    installed.cache_clear()


def test_the_receipts_seed_gives_the_same_result_again(ship: Ship, runs: list[Run], tmp_path: Path) -> None:
    ship(runs[1:])
    again = zoo.reproduce(TAG, output=tmp_path / "again", device="cpu")
    assert again.found == again.claimed
    assert again.holds
    assert again.trainings == 3
    recipe = runs[0].record.recipe.replace(precision=runs[0].record.precision)  # not chosen once more
    assert (again.run.record.recipe, again.run.record.data) == (recipe, runs[0].record.data)
    assert again.changed == {}


def test_the_command_tells_the_band_and_the_verdict(ship: Ship, runs: list[Run], tmp_path: Path) -> None:
    ship(runs[1:])
    done = zoo_command("weights", "reproduce", TAG, "--seed", "7", "--device", "cpu", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{TAG}: accuracy ")
    assert "is claimed: reproduced\nband  [" in done.stdout


def test_a_claim_that_no_training_reaches_is_no_success(ship: Ship, runs: list[Run], tmp_path: Path) -> None:
    boasted = [{"accuracy": 0.9991}, {"accuracy": 0.9992}, {"accuracy": 0.9993}]
    ship(runs[1:], metrics=boasted[0], repeats=boasted)
    done = zoo_command("weights", "reproduce", TAG, "--json", "--device", "cpu", cwd=tmp_path)
    assert done.returncode == 1
    told = json.loads(done.stdout)
    assert told["holds"] is False
    assert told["found"] == pytest.approx(runs[0].metrics["accuracy"])
    assert told["found"] < told["low"] < told["claimed"] < told["high"]


def test_other_data_is_told_before_anything_is_trained(ship: Ship, runs: list[Run], tmp_path: Path) -> None:
    ship(runs[1:])
    with pytest.raises(zoo.DataError, match=r"'control' is not what cnn/lenet5\.quick was trained on"):
        zoo.reproduce(TAG, data="control", output=tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_one_training_is_no_band(ship: Ship, tmp_path: Path) -> None:
    ship([])
    with pytest.raises(zoo.WeightsError, match=r"cannot be judged: it has no second training"):
        zoo.reproduce(TAG, output=tmp_path / "again")
    with pytest.raises(zoo.WeightsError, match=r"names no weights; say cnn/lenet5\.TAG"):
        zoo.reproduce(MODEL, output=tmp_path / "again")


def test_runs_of_another_training_are_not_counted_as_repeats(runs: list[Run], tmp_path: Path) -> None:
    other = Run(runs[1].path, runs[1].record.replace(recipe=runs[1].record.recipe.replace(lr=0.5)))
    for repeat in (other, runs[0]):
        with pytest.raises(zoo.RunError, match="with another seed; leave it out"):
            zoo.add_weights(runs[0], tmp_path, tag="quick", repeats=[repeat])


@pytest.mark.parametrize("count", [2, 3, 10])
def test_the_band_holds_one_more_value_as_often_as_it_says(count: int) -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(0.9, 0.01, size=(4_000, count + 1))
    bands = [(band(row[:-1]), row[-1]) for row in values]
    assert np.mean([low <= one <= high for (low, high), one in bands]) == pytest.approx(0.95, abs=0.015)


def test_equal_values_have_a_band_as_wide_as_their_steps() -> None:
    low, high = band([0.98, 0.98, 0.98], step=1 / 300)
    assert low < 0.98 - 1 / 300
    assert high > 0.98 + 1 / 300
    assert high - low < 4 / 300
    assert msgspec.json.encode([low, high])


def zoo_command(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "zoo", *arguments], capture_output=True, text=True, check=False, cwd=cwd
    )
