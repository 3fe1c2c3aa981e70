"""`zoo plugins`: installing, removing, putting off and examining plugins, in environments of their own.

And models that break their task's contract.
"""

from __future__ import annotations

import functools
import http.server
import json
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import environments
import pytest
import torch
from environments import build, fresh_venv, write_project
from torch import nn

import zoo
from zoo.data import load_dataset
from zoo.registry import installed
from zoo.specs import Recipe
from zoo.tasks.base import prepare
from zoo.training.contract import rehearse

HOOKS = """
import zoo

@zoo.hookimpl
def zoo_models():
    return zoo.read_models(__package__, "models.toml")
"""
MODELS = """
[[model]]
name = "net"
family = "mlp"
tasks = ["image-classification"]
builder = "zoo_toy.net:net"
"""
TOY = {"__init__.py": HOOKS, "models.toml": MODELS, "net.py": "def net(problem): ..."}
WILD = """
import pathlib, sys, time
pathlib.Path(__file__).with_name("imported").touch()
print("hello from wild")
time.sleep(1.1)
sys.exit("no GPU here")
"""


class Installation:
    """A fresh environment with zoo and its convolutional networks, and the `zoo` command in it."""

    def __init__(self, folder: Path) -> None:
        self.python = fresh_venv(folder / "venv", "torch-zoo", "torch-zoo-cnn")
        self.folder = folder

    def zoo(self, *arguments: str, status: int = 0, **variables: str) -> subprocess.CompletedProcess[str]:
        return environments.run(
            self.python, "-m", "zoo", *arguments, cwd=self.folder, status=status, **variables
        )

    def plugins(self, **variables: str) -> dict[str, dict[str, Any]]:
        rows = json.loads(self.zoo("plugins", "--json", **variables).stdout)["plugins"]
        return {row["name"]: row for row in rows}


@pytest.fixture
def here(tmp_path: Path) -> Installation:
    return Installation(tmp_path)


# -- installing and removing ------------------------------------------------------------------


@pytest.mark.slow
def test_a_folder_is_installed_shown_and_removed_again(here: Installation) -> None:
    write_project(here.folder / "toy", "toy", TOY)  # a bare name, which pip would look up in an index
    done = here.zoo("plugins", "install", "toy")
    assert done.stdout == "toy (zoo-toy 1.0): 1 models\n  toy/net\n"
    assert "Successfully installed zoo-toy-1.0" in done.stderr
    assert here.zoo("plugins", "install", "toy").stdout.startswith("no plugin is new")
    here.zoo("plugins", "disable", "toy")

    assert here.zoo("plugins", "uninstall", "toy", "--yes").stdout == (
        "zoo-toy 1.0 is removed, and toy with it\n"
    )
    assert sorted(here.plugins()) == ["cnn"]
    done = here.zoo("plugins", "uninstall", "toy", "--yes", status=1)
    assert done.stderr == "zoo: no plugin named 'toy' among 1 installed; known: cnn\n"
    here.zoo("-q", "plugins", "install", "./toy")
    assert here.plugins()["toy"]["state"] == "active"  # what was set for the removed one is forgotten


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """The wheel of the toy, and a URL under which it can be had."""
    wheel = build(write_project(tmp_path / "project", "toy", TOY), tmp_path / "wheels")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(wheel.parent))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield wheel, f"http://127.0.0.1:{server.server_port}/{wheel.name}"
    server.shutdown()
    server.server_close()


@pytest.mark.slow
def test_a_wheel_a_name_and_a_url_are_installed(here: Installation, served: tuple[Path, str]) -> None:
    wheel, url = served
    for spec in (str(wheel), "zoo-toy", url):
        done = here.zoo("-q", "plugins", "install", spec, PIP_FIND_LINKS=str(wheel.parent))
        assert done.stdout == "toy (zoo-toy 1.0): 1 models\n  toy/net\n"
        assert done.stderr == ""
        here.zoo("plugins", "uninstall", "Zoo_Toy", "--yes")  # the distribution's name, as pip reads names
    assert sorted(here.plugins()) == ["cnn"]


@pytest.mark.slow
def test_another_version_replaces_the_installed_one(here: Installation) -> None:
    for version in ("1.0", "2.0"):
        write_project(here.folder / "toy", "toy", TOY, version=version)
        assert f"zoo-toy {version}" in here.zoo("-q", "plugins", "install", "-e", "./toy").stdout
    assert here.plugins()["toy"]["version"] == "2.0"


def test_what_pip_cannot_do_is_one_line(here: Installation) -> None:
    done = here.zoo("plugins", "install", "zoo-nowhere", status=1)
    assert done.stdout == ""
    told = [line for line in done.stderr.splitlines() if line.startswith("zoo:")]
    assert told == ["zoo: pip install failed: No matching distribution found for zoo-nowhere"]
    assert "Traceback" not in done.stderr
    (next((here.folder / "venv" / "lib").glob("*/site-packages")) / "pip").unlink()
    done = here.zoo("plugins", "install", "zoo-nowhere", status=1)
    assert done.stderr.startswith("zoo: this environment has no pip; add it with: ")
    assert done.stderr.count("\n") == 1


def test_a_plugin_that_is_installed_and_does_not_work_says_why(here: Installation) -> None:
    write_project(here.folder / "toy", "toy", {**TOY, "__init__.py": "import absent"})
    done = here.zoo("-q", "plugins", "install", "./toy", status=1)
    assert done.stderr == (
        "zoo: plugin 'toy': installed, but quarantined: needs the module 'absent', which is not installed; "
        "pip install absent\n"
    )
    write_project(here.folder / "old", "old", {"__init__.py": ""}, requires="torch-zoo<0.0.1")
    here.zoo("plugins", "install", "--no-deps", "./old", status=1)
    assert here.plugins()["old"]["reason"] == f"needs torch-zoo<0.0.1, installed is {zoo.__version__}"


def test_removing_asks_first_and_never_removes_zoo(here: Installation) -> None:
    refused = here.zoo("plugins", "uninstall", "cnn", status=1)
    assert "nobody is there to be asked; say --yes" in refused.stderr
    command = [str(here.python), "-m", "zoo", "plugins", "uninstall", "cnn"]
    for answer, left in (("n", ["cnn"]), ("y", [])):
        done = subprocess.run(
            command,
            input=f"{answer}\n",
            env=environments.environment(),
            cwd=here.folder,
            capture_output=True,
            text=True,
            check=True,
        )
        assert "Remove torch-zoo-cnn 0.1.0, which brings cnn?" in done.stderr
        assert sorted(here.plugins()) == left
    refused = here.zoo("plugins", "uninstall", "torch_zoo", "--yes", status=1)
    assert "'torch_zoo' is zoo itself" in refused.stderr


@pytest.mark.slow
def test_everything_works_beside_a_plugin_that_does_its_worst(here: Installation) -> None:
    """It prints, takes a second and exits when it is imported, which installing and the like never do."""
    environments.install(here.python, str(_wheel(here.folder, "wild", {"__init__.py": WILD})))
    mark = next((here.folder / "venv" / "lib").glob("*/site-packages/zoo_wild")) / "imported"
    write_project(here.folder / "toy", "toy", TOY)
    for command in (("disable", "cnn"), ("enable", "cnn"), ("uninstall", "cnn", "--yes")):
        here.zoo("plugins", *command, ZOO_STRICT="1")
        assert not mark.exists()
    done = here.zoo("plugins", "install", "./toy", ZOO_STRICT="1")
    assert done.stdout.startswith("toy (zoo-toy 1.0): 1 models")
    rows = here.plugins(ZOO_STRICT="1")
    assert rows["toy"]["state"] == "active"
    assert rows["wild"]["reason"] == "called sys.exit('no GPU here') while it was loaded"
    assert rows["wild"]["load_seconds"] >= 1.1
    assert rows["wild"]["remarks"][0] == "printed 'hello from wild'"
    done = here.zoo("plugins", "doctor", status=1, ZOO_STRICT="1")
    assert "wild (zoo-wild 1.0): 1 faults" in done.stdout
    assert here.zoo("list", status=1, ZOO_STRICT="1").stderr.startswith(
        "zoo: plugin 'wild': called sys.exit("
    )
    here.zoo("plugins", "uninstall", "wild", "--yes", ZOO_STRICT="1")
    assert sorted(here.plugins()) == ["toy"]


def _wheel(folder: Path, name: str, files: dict[str, str]) -> Path:
    return build(write_project(folder / name, name, files), folder / f"{name}-wheel")


# -- examining --------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_doctor_finds_what_would_fail_later(here: Installation) -> None:
    files = {**TOY, "net.py": "import absent", "__init__.py": f"print('hello')\n{HOOKS}"}
    environments.install(here.python, str(_wheel(here.folder, "toy", files)))
    done = here.zoo("plugins", "doctor", "zoo-toy", status=1)
    assert done.stdout.splitlines() == [
        "toy (zoo-toy 1.0): 1 faults; requirements 1, models 1, models built 1",
        "  fault: 'zoo_toy.net:net' cannot be imported: No module named 'absent'; pip install absent -> "
        "upgrade or fix zoo-toy 1.0",
        "  remark: printed 'hello'",
    ]
    found = json.loads(here.zoo("plugins", "doctor", "toy", "--json", status=1).stdout)
    assert found["schema"] == 1
    assert found["plugins"][0]["faults"][0]["mend"] == "upgrade or fix zoo-toy 1.0"
    assert "did you mean cnn" in here.zoo("plugins", "doctor", "cmn", status=1).stderr


# -- putting off ------------------------------------------------------------------------------


def test_a_disabled_plugin_stays_out_until_it_is_enabled(here: Installation) -> None:
    here.zoo("plugins", "disable", "cnn")
    assert here.plugins()["cnn"]["state"] == "disabled"
    assert "zoo plugins enable cnn" in here.zoo("info", "cnn/lenet5", status=1).stderr
    here.zoo("plugins", "enable", "cnn")
    here.zoo("info", "cnn/lenet5")
    assert "did you mean cnn" in here.zoo("plugins", "disable", "cmn", status=1).stderr


# -- a model's contract -----------------------------------------------------------------------


class _Wrong(nn.Module):
    def __init__(self, shape: tuple[int, ...] | None) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if self.shape is None:
            raise RuntimeError("mat1 and mat2 cannot be multiplied")
        return torch.zeros(self.shape)


@pytest.mark.parametrize(
    ("shape", "reason"),
    [((2, 11), "gives [2, 11] where the task asks for [2, 10]"), (None, "cannot be multiplied")],
)
def test_a_model_that_breaks_its_contract_is_found_out_before_training(
    shape: tuple[int, ...] | None, reason: str, tmp_path: Path
) -> None:
    registry = installed()
    model, _ = registry.model("cnn/lenet5")
    task: Any = registry.task_implementation("image-classification")
    dataset = load_dataset("digits")
    prepared = prepare(task, dataset, task.fit(dataset, model.spec, Recipe()))
    with pytest.raises(zoo.PluginError) as caught:
        rehearse(_Wrong(shape), task, prepared, SimpleNamespace(name="toy/wrong", plugin=model.plugin))  # type: ignore[arg-type]
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)
