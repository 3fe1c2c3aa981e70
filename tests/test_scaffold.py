"""`zoo plugins new`: what it writes works at once, and nothing is written where it cannot."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner
from environments import fresh_venv, run

import zoo
from zoo.cli import cli
from zoo.core import zoo_tasks
from zoo.manifests import read_recipe
from zoo.registry import Plugin, Registry
from zoo.scaffold import Project, new_plugin, templated_tasks

IMAGES = "image-classification"
every_task = pytest.mark.parametrize("task", templated_tasks())


def _zoo(*arguments: str) -> tuple[int, str]:
    """The exit status of a command, and what it or its fault says."""
    done = CliRunner().invoke(cli, arguments, prog_name="zoo")
    return done.exit_code, done.output or str(done.exception or "")


def _texts(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def _package(project: Project) -> str:
    return f"zoo_{project.name.replace('-', '_')}"


# -- what is written --------------------------------------------------------------------------


def test_there_is_a_template_for_every_task_of_the_core() -> None:
    assert templated_tasks() == sorted(task.name for task in zoo_tasks())


@every_task
def test_a_new_plugins_model_is_there_with_its_recipe_and_its_facts(
    task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from zoo.build import trace_facts

    project = new_plugin(f"probe-{task}", task, tmp_path / "project")
    monkeypatch.syspath_prepend(project.folder)
    registry = Registry([Plugin(project.name, _package(project))], strict=True)
    model, _ = registry.model(project.model)
    assert model.spec.tasks == (task,)
    assert model.spec.summary
    assert model.spec.paper.startswith("https://")
    assert read_recipe(_package(project), model.spec.recipes["*"]).settings
    assert trace_facts(registry, model) == model.spec.facts
    assert registry.datasets[project.data].problem.task == task


@every_task
def test_a_new_project_has_all_that_a_project_needs(task: str, tmp_path: Path) -> None:
    project = new_plugin("sketch", task, tmp_path / "zoo-sketch")
    texts = _texts(project.folder)
    assert texts.keys() == {str(path) for path in project.files}
    model = project.model.partition("/")[2]
    assert texts.keys() == {
        ".github/workflows/test.yml",
        ".gitignore",
        "LICENSE",
        "README.md",
        "pyproject.toml",
        "tests/test_conformance.py",
        f"tests/test_{model}.py",
        "zoo_sketch/__init__.py",
        "zoo_sketch/facts.json",
        "zoo_sketch/models.toml",
        "zoo_sketch/py.typed",
        f"zoo_sketch/recipes/{model}.toml",
        f"zoo_sketch/{model}.py",
    }
    left = {name for name, text in texts.items() if "$" in text.replace("${{ matrix.python }}", "")}
    assert left == set()
    assert f"zoo train {project.model} --data {project.data}" in texts["README.md"]


@pytest.mark.parametrize(
    ("name", "project", "package"),
    [
        ("nets", "zoo-nets", "zoo_nets"),
        ("my-nets", "zoo-my-nets", "zoo_my_nets"),
        ("my_nets2", "zoo-my-nets2", "zoo_my_nets2"),
    ],
)
def test_hyphens_and_underscores_each_have_their_place(
    name: str, project: str, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made = new_plugin(name, IMAGES)
    assert made.folder == Path(project)
    table = tomllib.loads((tmp_path / project / "pyproject.toml").read_text())
    assert table["project"]["name"] == project
    assert table["project"]["entry-points"]["zoo"] == {name: package}
    assert (tmp_path / project / package / "__init__.py").is_file()


def test_a_new_plugin_asks_for_this_series_of_the_core(tmp_path: Path) -> None:
    project = new_plugin("sketch", IMAGES, tmp_path / "project")
    table = tomllib.loads((project.folder / "pyproject.toml").read_text())
    major, minor = (int(part) for part in zoo.__version__.split(".")[:2])
    assert table["project"]["dependencies"] == [f"torch-zoo>={major}.{minor},<{major}.{minor + 1}", "torch"]


@pytest.mark.parametrize("name", ["x", "a-plugin-whose-name-goes-on-for-quite-a-while"])
def test_new_projects_are_formatted_and_free_of_faults_that_linters_see(name: str, tmp_path: Path) -> None:
    for task in templated_tasks():
        new_plugin(name, task, tmp_path / task)
    for command in (["check"], ["check", "--select", "E501"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--no-cache", "."],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout


@pytest.mark.slow
def test_new_projects_pass_a_strict_type_checker(tmp_path: Path) -> None:
    projects = [new_plugin(f"typed-{task}", task, tmp_path / task) for task in templated_tasks()]
    packages = [str(project.folder / _package(project)) for project in projects]
    tests = {path.name: str(path) for project in projects for path in project.folder.glob("tests/*.py")}
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache")]
    done = subprocess.run(
        [*command, *packages, *tests.values()],
        cwd=tmp_path,
        env={**os.environ, "MYPYPATH": os.pathsep.join(str(project.folder) for project in projects)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


# -- what is refused --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("Toy", "did you mean 'toy'?"),
        ("My Nets!", "did you mean 'my-nets'?"),
        ("2d", "did you mean 'd'?"),
        ("toy-", "did you mean 'toy'?"),
        ("../toy", "did you mean 'toy'?"),
        ("", "not a plugin's name"),
        ("toy\n", "not a plugin's name"),
        ("zoo-toy", "'zoo-' is put before it anyway; say 'toy'"),
        ("zoo_toy", "'zoo-' is put before it anyway; say 'toy'"),
        ("cnn", "plugin 'cnn' is installed already, from torch-zoo-cnn"),
    ],
)
def test_a_name_that_cannot_be_had_is_refused_in_one_line(name: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(zoo.SpecError) as caught:
        new_plugin(name, IMAGES, tmp_path / "project")
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "project").exists()


def test_a_name_whose_package_would_be_anothers_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zoo.scaffold.discover", lambda: [Plugin("my_nets", "zoo_my_nets.hooks")])
    with pytest.raises(zoo.SpecError, match="plugin 'my_nets' is installed already"):
        new_plugin("my-nets", IMAGES)


def test_a_task_that_nobody_knows_is_refused_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(zoo.UnknownNameError, match="did you mean image-classification"):
        new_plugin("toy", "image-clasification", tmp_path / "project")


def test_a_task_without_a_template_is_refused_with_those_that_have_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zoo.scaffold.installed", lambda: Registry([Plugin("depths", "depths")], strict=True))
    (tmp_path / "depths.py").write_text(
        "import zoo\n\n@zoo.hookimpl\ndef zoo_tasks():\n"
        "    return [zoo.TaskSpec(name='depth', implementation='depths:depth', metric='error')]\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(zoo.UnknownNameError, match="'depth' has no template; there are: forecasting, image"):
        new_plugin("toy", "depth", tmp_path / "project")


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    folder = tmp_path / "zoo-toy"
    new_plugin("toy", IMAGES, folder)
    (folder / "README.md").write_text("mine")
    before = _texts(folder)
    status, told = _zoo("plugins", "new", "toy", "--task", "forecasting", "--output", str(folder))
    assert status == 1
    assert "exists already, and nothing is overwritten" in told
    assert _texts(folder) == before


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    folder = tmp_path / "zoo-toy"
    folder.mkdir()
    assert new_plugin("toy", IMAGES, folder).folder == folder
    assert (folder / "pyproject.toml").is_file()


def test_where_it_cannot_write_it_says_so_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(zoo.ZooError, match=r"cannot be written: Not a directory; choose another --output"):
        new_plugin("toy", IMAGES, tmp_path / "file" / "inside")

    def full(*arguments: object, **options: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(zoo.ZooError, match="No space left on device"):
        new_plugin("toy", IMAGES, tmp_path / "here" / "project")
    assert list((tmp_path / "here").iterdir()) == []


def test_the_command_tells_what_comes_next_unless_it_is_to_be_quiet(tmp_path: Path) -> None:
    arguments = ["plugins", "new", "toy", "--task", IMAGES, "--output"]
    status, told = _zoo(*arguments, str(tmp_path / "one"))
    assert status == 0
    assert "zoo train toy/allconv --data digits" in told
    assert "zoo plugins check toy" in told
    assert _zoo("-q", *arguments, str(tmp_path / "two")) == (0, "")
    assert _texts(tmp_path / "two") == _texts(tmp_path / "one")


# -- in a fresh environment -------------------------------------------------------------------


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment with our wheels."""
    return fresh_venv(tmp_path_factory.mktemp("fresh") / "venv")


def _install(python: Path, project: Path) -> None:
    run(python, "-m", "pip", "install", "--quiet", str(project))


@pytest.mark.slow
def test_a_new_plugin_is_installed_used_and_removed(python: Path, tmp_path: Path) -> None:
    def told(*arguments: str) -> str:
        return run(python, "-m", "zoo", *arguments, cwd=tmp_path).stdout

    told("plugins", "new", "fresh", "--task", IMAGES)
    _install(python, tmp_path / "zoo-fresh")
    listed = json.loads(told("list", "fresh/*", "--json"))["models"]
    assert [model["name"] for model in listed] == ["fresh/allconv"]
    asked = ["recommend", "--data", "digits", "--scratch", "--top", "2000", "--json"]
    answer = json.loads(told(*asked))
    assert "fresh/allconv" in {entry["model"] for entry in answer["recommendations"]}
    told("train", "fresh/allconv", "--data", "digits", "-o", "steps=5", "--output", "run")
    code = (
        "import torch, zoo; model = zoo.load('run');"
        "print(zoo.load('fresh/allconv', num_classes=3)(torch.rand(1, 1, 8, 8)).shape, model.zoo.report)"
    )
    assert (
        "torch.Size([1, 3]) fresh/allconv.run: 8 tensors loaded"
        in run(python, "-c", code, cwd=tmp_path).stdout
    )
    run(python, "-m", "pip", "uninstall", "--quiet", "--yes", "zoo-fresh")
    assert json.loads(told("list", "fresh/*", "--json"))["models"] == []
    assert json.loads(told("list", "cnn/*", "--json"))["models"]


@pytest.mark.slow
@every_task
def test_a_new_project_passes_its_own_tests_at_once(task: str, python: Path, tmp_path: Path) -> None:
    project = new_plugin(f"tested-{task}", task, tmp_path / "project")
    _install(python, project.folder)
    done = run(python, "-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=project.folder)
    last = done.stdout.strip().splitlines()[-1]
    passed = re.fullmatch(r"(\d+) passed(, \d+ warnings?)? in .*", last)
    assert passed, last  # none failed, none skipped, none excused
    assert int(passed[1]) > 20
