"""The `zoo` command as a user runs it: real processes, exit statuses, one line for a fault."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in; settings and caches are elsewhere."""
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def zoo(*arguments: str, status: int = 0, given: str | None = None) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "zoo", *arguments],
        capture_output=True,
        text=True,
        input=given,
        env={**os.environ, "COLUMNS": "100"},
        check=False,
    )
    assert done.returncode == status, done.stderr
    return done


def fault(*arguments: str) -> str:
    """The one line on stderr of a command that fails with status 1."""
    done = zoo(*arguments, status=1)
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("zoo: ")
    return line


def document(*arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(zoo(*arguments, "--json").stdout)
    assert found["schema"] == 1
    return found


# -- faults that a user can mend --------------------------------------------------------------

TRAIN = ("train", "cnn/lenet5", "--data", "digits")
FAULTS = {
    "model": (("train", "cnn/lenet", "--data", "digits"), "did you mean cnn/lenet5"),
    "data": (("train", "cnn/lenet5", "--data", "digit"), "did you mean digits?"),
    "settings": (
        (*TRAIN, "-o", "epoch=3", "-o", "lr=quick", "-o", "batch_size=0"),
        "3 faults: unknown key 'epoch'; did you mean 'epochs'?",
    ),
    "resume": (("train", "--resume", "nowhere"), "'nowhere' does not exist"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_training_that_cannot_start_is_one_line_and_writes_nothing(home: Path, name: str) -> None:
    arguments, told = FAULTS[name]
    assert told in fault(*arguments)
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("name", FAULTS)
def test_what_is_wrong_with_a_training_is_told_before_torch_is_imported(home: Path, name: str) -> None:
    arguments, told = FAULTS[name]
    code = (
        "import sys\nfrom zoo.cli import main\n"
        f"try:\n    main({list(arguments)!r})\nfinally:\n    print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=home)
    assert told in done.stderr
    assert done.stdout == "False\n"


def test_an_output_folder_in_use_is_left_alone(home: Path) -> None:
    (home / "mine").mkdir()
    (home / "mine" / "notes.txt").write_text("kept")
    assert "'mine' exists already; choose another --output" in fault(*TRAIN, "--output", "mine")
    assert [path.name for path in (home / "mine").iterdir()] == ["notes.txt"]
    assert [path.name for path in home.iterdir()] == ["mine"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("info", "resnet5000000"), "no model named 'resnet5000000' among"),
        (("list", "--task", "image-clasification"), "did you mean image-classification"),
        (("list", "--max-params", "many"), "many"),
        (("datasets", "sample", "digits", "--output", "missing/x.png"), "cannot be written"),
    ],
)
def test_a_wrong_name_or_value_is_one_line(home: Path, arguments: tuple[str, ...], told: str) -> None:
    assert told in fault(*arguments)
    assert list(home.iterdir()) == []


def test_debug_shows_where_a_fault_arose(home: Path) -> None:
    done = zoo("--debug", "info", "cnn/lenet6", status=1)
    assert "Traceback" in done.stderr
    assert "zoo.errors.UnknownNameError" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("list", "--nonsense"),
        ("train",),
        ("train", "cnn/lenet5"),
        ("train", "cnn/lenet5", "--resume", "runs/x"),
        ("predict", "cnn/lenet5.digits"),
        ("datasets", "sample", "digits"),
        ("recommend",),
        ("recommend", "--objective", "luck"),
    ],
)
def test_wrong_usage_has_status_2_and_says_how(home: Path, arguments: tuple[str, ...]) -> None:
    done = zoo(*arguments, status=2)
    assert done.stdout == ""
    assert done.stderr.startswith("Usage: zoo")
    assert "Traceback" not in done.stderr
    assert list(home.iterdir()) == []


# -- documents --------------------------------------------------------------------------------


def test_models_are_listed_as_json(home: Path) -> None:
    found = document("list", "cnn/*")
    by_name = {model["name"]: model for model in found["models"]}
    assert {"cnn/convnet", "cnn/fcn", "cnn/lenet5", "cnn/tcn", "cnn/textcnn"} <= set(by_name)
    lenet = by_name["cnn/lenet5"]
    assert (lenet["family"], lenet["tasks"], lenet["parameters"]) == ("cnn", ["image-classification"], 61706)
    assert {"macs", "license", "summary", "weights"} <= set(lenet)
    assert "digits" in {weights["tag"] for weights in lenet["weights"]}
    assert document("info", "cnn/lenet5")["model"] == lenet
    assert document("info", "cnn/lenet5.digits")["weights"]["model"] == "cnn/lenet5"


def test_plugins_datasets_devices_and_weights_are_listed_as_json(home: Path) -> None:
    plugins = {plugin["name"]: plugin for plugin in document("plugins")["plugins"]}
    assert plugins["cnn"] | {"load_seconds": 0, "version": "", "mend": ""} == {
        "name": "cnn",
        "distribution": "torch-zoo-cnn",
        "version": "",
        "state": "active",
        "reason": "",
        "mend": "",
        "models": len(document("list", "cnn/*")["models"]),
        "load_seconds": 0,
        "remarks": [],
    }
    assert {"digits", "cbf"} <= {data["name"] for data in document("datasets")["datasets"]}
    assert document("datasets", "list") == document("datasets")
    assert document("devices")["devices"]
    names = [weights["name"] for weights in document("weights", "list", "cnn/*")["weights"]]
    assert "cnn/lenet5.digits" in names


def test_a_recommendation_is_json(home: Path) -> None:
    found = document("recommend", "--data", "digits", "--device", "cpu")
    assert found["problem"]["task"] == "image-classification"
    first = found["recommendations"][0]
    assert {"model", "weights", "fits", "estimate", "recipe", "reasons", "command"} <= set(first)
    estimate = first["estimate"]["memory_bytes"]
    assert {"value", "low", "high", "source", "method"} == set(estimate)
    assert estimate["low"] <= estimate["value"] <= estimate["high"]
    assert first["command"].startswith("zoo train ")


def test_a_table_fits_a_pipe_line_by_line(home: Path) -> None:
    lines = zoo("list", "cnn/*").stdout.splitlines()
    assert len(lines) == 1 + len(document("list", "cnn/*")["models"])
    assert lines[0].split() == ["model", "task", "parameters", "MACs", "weights", "summary"]


# -- from a sample to a prediction, from data to a run ----------------------------------------


def test_a_sample_is_written_and_told_apart(home: Path) -> None:
    told = zoo("datasets", "sample", "digits", "--index", "4", "--output", "four.png").stdout
    answer = told.rstrip().rpartition("answer ")[2].strip("'")
    assert told.startswith("four.png: sample 4 of digits (test)")
    done = zoo("predict", "cnn/lenet5.digits", "four.png", "--json", "--device", "cpu")
    (record,) = map(json.loads, done.stdout.splitlines())
    assert (record["item"], record["label"]) == ("four.png", answer)
    assert done.stderr == ""
    assert "exists already" in fault("datasets", "sample", "digits", "--output", "four.png")


def test_a_run_is_trained_judged_and_asked(home: Path) -> None:
    settings = ("-o", "steps=20", "-o", "batch_size=10", "--option", "width=4", "--device", "cpu")
    done = zoo("train", "cnn/fcn", "--data", "cbf", *settings, "--json")
    run = json.loads(done.stdout)
    assert (run["schema"], run["run"], run["state"], run["steps"]) == (1, "runs/fcn-cbf", "finished", 20)
    told = done.stderr.splitlines()  # progress without a terminal: a line an evaluation
    assert len([line for line in told if line.startswith("step ")]) == 10
    assert Path("runs/fcn-cbf/model.safetensors").is_file()
    found = document("evaluate", "runs/fcn-cbf", "--device", "cpu")
    assert (found["data"], found["samples"]) == ("cbf", 900)
    assert found["metrics"]["accuracy"]["value"] == pytest.approx(run["metrics"]["accuracy"])
    assert found["baseline"]["name"] == "majority class"
    series = " ".join(str(step % 7) for step in range(128))
    done = zoo("predict", "runs/fcn-cbf", "-", given=f"{series}\n{series}\n")
    assert len(done.stdout.splitlines()) == 2
