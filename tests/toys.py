"""Toy plugins as pip would install them: a module with its metadata in a folder on the path."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from zoo.cli import main
from zoo.registry import installed

PREFIX = "zootoy_"
PREAMBLE = """
import zoo

PIXELS = zoo.Problem(
    task="image-classification",
    input=zoo.ImageInput(channels=1, height=2, width=2),
    output=zoo.Classes(count=2),
)

def net(name="net", **fields):
    tasks = fields.pop("tasks", ("image-classification",))
    fields.setdefault("builder", f"{__name__}:build")
    return zoo.ModelSpec(name=name, family="cnn", tasks=tasks, **fields)

def build(problem):
    from torch import nn
    image, classes = problem.expect("net", zoo.ImageInput, zoo.Classes)
    return nn.Sequential(nn.Flatten(), nn.Linear(image.channels * image.height * image.width, classes.count))
"""
GOOD = """
@zoo.hookimpl
def zoo_models():
    return [net()]
"""
HOOK = "@zoo.hookimpl\ndef zoo_models():\n    "
SPECKS = """
PROBLEM = PIXELS.replace(output=zoo.Classes(count=2, names=("dark", "light")), samples=8)

@zoo.hookimpl
def zoo_datasets():
    return [zoo.DatasetSpec(name="specks", loader=f"{__name__}:specks", problem=PROBLEM)]

def specks():
    import numpy as np
    labels = np.arange(8) % 2
    images = (200 * labels[:, None, None, None] + np.zeros((8, 1, 2, 2))).astype(np.uint8)
    split = {"images": images, "labels": labels}
    return zoo.Dataset(
        name="specks", problem=PROBLEM, splits={name: split for name in ("train", "validation", "test")}
    )
"""
Capture = pytest.CaptureFixture[str]


class Site:
    """A folder on the path; only the toys that were put there count."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self._monkeypatch = monkeypatch
        self._names: list[str] = []
        folder.mkdir()
        monkeypatch.syspath_prepend(folder)
        monkeypatch.setenv("ZOO_PLUGINS", "")

    def __call__(
        self,
        name: str,
        code: str,
        *,
        module: str = "",
        distribution: str = "",
        requires: str = "",
        entry_points: str = "",
    ) -> None:
        """Installs a plugin; `entry_points` replaces the whole file."""
        module = module or PREFIX + name
        distribution = distribution or f"toy-{name}"
        (self.folder / f"{module}.py").write_text(f"{PREAMBLE}\n{code}\n")
        info = self.folder / f"{distribution.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        metadata = f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n"
        needed = f"Requires-Dist: {requires}\n" if requires else ""
        (info / "METADATA").write_text(f"{metadata}{needed}\nA toy.\n")
        (info / "entry_points.txt").write_text(entry_points or f"[zoo]\n{name} = {module}\n")
        importlib.invalidate_caches()
        self._names.append(name)
        self._monkeypatch.setenv("ZOO_PLUGINS", ",".join(dict.fromkeys(self._names)))


def forget() -> None:
    """As in a new process: no plugin has been found, and no toy imported."""
    installed.cache_clear()
    for name in [name for name in sys.modules if name.startswith(PREFIX)]:
        del sys.modules[name]


def run(capsys: Capture, *arguments: str) -> tuple[int, str, str]:
    """The exit status, stdout and stderr of a `zoo` command, as of a process of its own."""
    forget()
    with pytest.raises(SystemExit) as stop:
        main(list(arguments))
    out, err = capsys.readouterr()
    return int(stop.value.code or 0), out, err


def document(capsys: Capture, *arguments: str) -> Any:
    """The JSON that a command prints, which must be all of stdout."""
    status, out, err = run(capsys, *arguments, "--json")
    assert status == 0, err
    return json.loads(out)
