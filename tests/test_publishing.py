"""From a run to weights that others install."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import zoo
from zoo.publishing import add_weights, pack_weights
from zoo.runs import Run
from zoo.weights.sources import sha256

MODEL = "cnn/lenet5"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("publishing") / "run"
    return zoo.train(MODEL, "digits", output=folder, settings={"steps": 10}, device="cpu")


def test_packed_weights_are_a_project_that_brings_them(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "zoo-mine"
    spec = pack_weights(run, folder, name="mine", tag="quick", license="MIT")
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["zoo"] == {"mine": "zoo_mine"}
    assert project["license"] == "MIT"
    assert "cnn/lenet5.quick" in (folder / "README.md").read_text()
    monkeypatch.syspath_prepend(str(folder))
    (read,) = zoo.read_weights("zoo_mine", "weights.json")
    assert (read.name, read.metrics, read.golden) == (spec.name, spec.metrics, spec.golden)
    assert read.sha256 == sha256(run.weights_path)
    model = zoo.load(MODEL, weights=read.sources[0])
    assert model.zoo.report.new == {}
    sys.modules.pop("zoo_mine", None)


def test_weights_of_the_same_name_take_the_place_of_the_old_and_others_stay(run: Run, tmp_path: Path) -> None:
    package = tmp_path / "zoo_some"
    package.mkdir()
    for tag in ("one", "two", "one"):
        add_weights(run, package, tag=tag)
    records = json.loads((package / "weights.json").read_text())["weights"]
    assert [record["tag"] for record in records] == ["one", "two"]
    assert {path.name for path in package.rglob("*") if path.is_file()} == {
        "weights.json",
        "lenet5.one.safetensors",
        "lenet5.two.safetensors",
    }


def test_a_golden_output_is_recorded_and_catches_other_weights(run: Run, tmp_path: Path) -> None:
    package = tmp_path / "zoo_some"
    package.mkdir()
    spec = add_weights(run, package, tag="one")
    other = zoo.load(MODEL, problem=spec.problem)
    task = zoo.installed().task_implementation("image-classification")
    from zoo.golden import check_golden

    assert spec.problem is not None
    assert spec.preprocess is not None
    check_golden(zoo.load(run.path), task, spec.problem, spec.preprocess, spec.golden, spec.name)
    with pytest.raises(zoo.WeightsError, match="does not give the output that its record promises"):
        check_golden(other, task, spec.problem, spec.preprocess, spec.golden, spec.name)


@pytest.mark.parametrize(
    ("changes", "fault", "message"),
    [
        ({"name": "Mine!"}, zoo.SpecError, "name = 'Mine!': expected lower-case letters"),
        ({"tag": "a/b"}, zoo.SpecError, "tag = 'a/b'"),
    ],
)
def test_names_that_are_none_are_refused_and_nothing_is_written(
    run: Run, tmp_path: Path, changes: dict[str, str], fault: type[Exception], message: str
) -> None:
    with pytest.raises(fault, match=message):
        pack_weights(run, tmp_path / "new", **{"name": "mine", "tag": "one", **changes})
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_exists_is_left_as_it_is(run: Run, tmp_path: Path) -> None:
    with pytest.raises(zoo.RunError, match="exists already; choose another folder"):
        pack_weights(run, tmp_path, name="mine", tag="one")


def test_a_run_that_is_not_finished_is_refused(run: Run, tmp_path: Path) -> None:
    unfinished = Run(run.path, run.record.replace(state="running"))
    with pytest.raises(zoo.RunError, match="is not finished; go on with it"):
        add_weights(unfinished, tmp_path, tag="one")


def test_the_command_packs_a_run_and_says_how_to_install_it(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "zoo-mine"
    command = [
        sys.executable,
        "-m",
        "zoo",
        "weights",
        "pack",
        str(run.path),
        "--name",
        "mine",
        "--tag",
        "quick",
    ]
    done = subprocess.run(
        [*command, "--output", str(folder)], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout.endswith(f"install it with: pip install {folder}\n")
    (record,) = json.loads((folder / "zoo_mine" / "weights.json").read_text())["weights"]
    assert (record["model"], record["tag"]) == (MODEL, "quick")
    again = subprocess.run(
        [*command, "--output", str(folder)], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert again.returncode == 1
    assert str(folder) in again.stderr
