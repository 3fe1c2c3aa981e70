"""`zoo lock` and `zoo sync`, in environments of their own with real wheels."""

from __future__ import annotations

import hashlib
import json
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import environments
import pytest
from environments import build, fresh_venv, wheel, write_project
from toys import HOOK, Capture, Site, run

import zoo
from zoo.lockfile import read_lock

RECIPE = {
    "__init__.py": "import zoo\n\n" + HOOK + "return zoo.read_models(__package__, 'models.toml')\n",
    "models.toml": """
[[model]]
name = "net"
family = "mlp"
tasks = ["image-classification"]
builder = "zoo_toy.net:net"
recipes = { "*" = "quick.toml" }
""",
    "quick.toml": "epochs = 1\n",
}


def command(
    python: Path, *arguments: str, status: int = 0, **variables: str
) -> subprocess.CompletedProcess[str]:
    """A `zoo` command beside the environment's folder, where `zoo.lock` stands."""
    return environments.run(
        python, "-m", "zoo", *arguments, cwd=python.parents[2], status=status, **variables
    )


@pytest.mark.slow
def test_another_environment_becomes_what_was_locked(tmp_path: Path) -> None:
    """The plugins are installed, replaced and removed, and what pip cannot mend is told."""
    shelf = tmp_path / "shelf"
    projects = {}
    for version, epochs in (("1.0", 1), ("2.0", 2)):
        files = {**RECIPE, "quick.toml": f"epochs = {epochs}\n"}
        project = write_project(tmp_path / f"toy-{version}", "toy", files, version=version)
        projects[version] = build(project, shelf / version)
    links = f"{shelf / '1.0'} {wheel('torch-zoo-cnn').parent}"

    (tmp_path / "one").mkdir()
    one = fresh_venv(tmp_path / "one" / "venv", "torch-zoo", "torch-zoo-cnn", "torch-zoo-weights")
    environments.install(one, str(projects["1.0"]))
    written = command(one, "lock").stdout
    assert written.startswith("zoo.lock written: 3 plugin distributions, ")
    assert written.endswith(" weights, 12 recipes\n")
    text = (tmp_path / "one" / "zoo.lock").read_text()
    assert command(one, "lock").stdout == "zoo.lock is up to date\n"
    assert command(one, "sync", "--check").stdout == "zoo.lock: all as locked\n"
    assert str(tmp_path) not in text

    (tmp_path / "two").mkdir()
    two = fresh_venv(tmp_path / "two" / "venv", "torch-zoo", "torch-zoo-weights", "torch-zoo-lstm")
    environments.install(two, str(projects["2.0"]))
    (tmp_path / "two" / "zoo.lock").write_text(text)
    checked = command(two, "sync", "--check", status=1)
    assert checked.stderr.splitlines() == [
        "plugin torch-zoo-cnn: locked 0.1.0, here none -> pip install 'torch-zoo-cnn==0.1.0'",
        "plugin torch-zoo-lstm: locked none, here 0.1.0 -> pip uninstall torch-zoo-lstm",
        "plugin zoo-toy: locked 1.0, here 2.0 -> pip install 'zoo-toy==1.0'",
    ]
    assert checked.stdout == "zoo.lock: 3 differences\n"
    found = json.loads(command(two, "sync", "--check", "--json", status=1).stdout)
    assert [row["name"] for row in found["differences"]] == ["torch-zoo-cnn", "torch-zoo-lstm", "zoo-toy"]
    assert json.loads(command(two, "plugins", "--json").stdout)["plugins"][0]["name"] == "lstm"  # unchanged

    done = command(two, "sync", PIP_FIND_LINKS=links)
    assert done.stdout.endswith("zoo.lock: all as locked\n")
    assert command(two, "sync", "--check").stdout == "zoo.lock: all as locked\n"
    rows = json.loads(command(two, "plugins", "--json").stdout)["plugins"]
    assert [row["name"] for row in rows] == ["cnn", "toy", "weights"]
    assert rows[1]["version"] == "1.0"

    recipe = next((tmp_path / "two" / "venv").rglob("quick.toml"))
    recipe.write_text("epochs = 3\n")
    changed = command(two, "sync", status=1)
    assert "recipe toy/quick.toml: locked " in changed.stderr
    assert "zoo cannot mend it" in changed.stderr
    missing = command(two, "sync", "--file", "none.lock", status=1)
    assert missing.stderr == "zoo: 'none.lock' does not exist; write it with: zoo lock\n"


# -- what is in the file ----------------------------------------------------------------------

DIGEST = hashlib.sha256(b"weights").hexdigest()[:12]
WEIGHTS = """
@zoo.hookimpl
def zoo_weights():
    made = zoo.WeightsSpec(tag="here", model="good/net", source="file:{here}")
    return [made, made.replace(tag="there", source="file:{there}")]
"""


@pytest.fixture
def toy(install: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A plugin with a recipe and two sets of weights, of which one file is here; the folder to work in."""
    here, there = tmp_path / "here.safetensors", tmp_path / "there.safetensors"
    here.write_bytes(b"weights")
    hooks = HOOK + "return [net(recipes={'*': 'quick.toml'})]\n"
    install("good", hooks + WEIGHTS.format(here=here, there=there))
    (install.folder / "quick.toml").write_text("epochs = 1\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def contents(folder: Path) -> dict[str, Any]:
    return tomllib.loads((folder / "zoo.lock").read_text())


def test_a_lock_holds_plugins_weights_at_hand_and_recipes(toy: Path, capsys: Capture) -> None:
    assert run(capsys, "lock")[0] == 0
    found = contents(toy)
    assert (found["schema"], found["core"]) == (1, zoo.__version__)
    assert {"name": "toy-good", "version": "1.0", "plugins": ["good"]} in found["distribution"]
    assert [entry["name"] for entry in found["weights"]] == ["good/net.here"]
    assert [entry["name"] for entry in found["recipe"]] == ["good/quick.toml"]
    first = (toy / "zoo.lock").read_bytes()
    assert run(capsys, "lock")[1] == "zoo.lock is up to date\n"
    (toy / "zoo.lock").unlink()
    assert run(capsys, "lock")[0] == 0
    assert (toy / "zoo.lock").read_bytes() == first
    assert [entry["name"] for entry in found["distribution"]] == sorted(
        entry["name"] for entry in found["distribution"]
    )


def test_a_lock_that_differs_is_not_overwritten_unless_that_is_said(
    toy: Path, install: Site, capsys: Capture
) -> None:
    run(capsys, "lock")
    before = (toy / "zoo.lock").read_bytes()
    (install.folder / "quick.toml").write_text("epochs = 2\n")
    status, out, err = run(capsys, "lock")
    assert (status, out) == (1, "")
    assert err.startswith("recipe good/quick.toml: ")
    assert err.endswith("zoo: zoo.lock differs in 1 places; write it anew with: zoo lock --update\n")
    assert (toy / "zoo.lock").read_bytes() == before
    assert run(capsys, "lock", "--update")[0] == 0
    assert (toy / "zoo.lock").read_bytes() != before
    assert run(capsys, "sync", "--check")[0] == 0


def test_weights_that_cannot_be_had_are_a_difference(toy: Path, capsys: Capture) -> None:
    run(capsys, "lock")
    (toy / "here.safetensors").write_bytes(b"others")
    status, _, err = run(capsys, "sync", "--check")
    assert status == 1
    assert f"weights good/net.here: locked {DIGEST}, here " in err
    (toy / "here.safetensors").unlink()
    assert (
        f"weights good/net.here: locked {DIGEST}, here none -> zoo sync fetches them"
        in run(capsys, "sync", "--check")[2]
    )
    status, _, err = run(capsys, "sync")
    assert status == 1
    assert "good/net.here cannot be had: file:" in err


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("schema = 2\n", "is of schema 2, this zoo reads 1; upgrade torch-zoo"),
        ("schema = ", "cannot be read: "),
        ("schema = 1\ncore = 3\nplugs = 1\n", "2 faults: unknown key 'plugs'; "),
    ],
)
def test_a_file_that_is_no_lock_is_one_line(toy: Path, capsys: Capture, text: str, told: str) -> None:
    (toy / "zoo.lock").write_text(text)
    for words in (("sync",), ("sync", "--check"), ("lock",)):
        status, out, err = run(capsys, *words)
        assert (status, out, err.count("\n")) == (1, "", 1)
        assert told in err
    assert (toy / "zoo.lock").read_text() == text


def test_a_broken_plugin_is_locked_by_its_version_and_the_others_whole(
    toy: Path, install: Site, capsys: Capture
) -> None:
    install("bad", "import absent")
    status, _, err = run(capsys, "lock")
    assert status == 0
    assert "plugin 'bad' (toy-bad 1.0) set aside" in err
    assert {"toy-bad", "toy-good"} <= {entry.name for entry in read_lock(toy / "zoo.lock").distribution}
    assert len(contents(toy)["recipe"]) == 1


def test_a_repository_s_commit_is_locked(toy: Path, install: Site, capsys: Capture) -> None:
    origin = {"url": "https://example.org/toy", "vcs_info": {"vcs": "git", "commit_id": "abc"}}
    (install.folder / "toy_good-1.0.dist-info" / "direct_url.json").write_text(json.dumps(origin))
    run(capsys, "lock")
    (entry,) = (entry for entry in read_lock(Path("zoo.lock")).distribution if entry.name == "toy-good")
    assert entry.requirement == "toy-good @ git+https://example.org/toy@abc"
