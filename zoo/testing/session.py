"""A pytest session of its own for the checks of one plugin, whatever the folder it is called in."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from zoo.errors import ZooError
from zoo.testing.collection import collect

FOREIGN = ("PYTEST_ADDOPTS", "PYTEST_PLUGINS")  # meant for another project's tests
PASSED, FAILED, INTERRUPTED = 0, 1, 2  # pytest's exit statuses


def run_checks(
    plugin: str, *, models: str = "*", checks: Sequence[str] = ("*",), quiet: bool = False
) -> bool:
    """Whether an installed plugin passes; pytest tells on stdout what does not.

    Neither the configuration nor the tests of the current folder count, and nothing is written there. Raises
    `ZooError` where pytest is missing, or there is nothing to check; see `collect`.
    """
    if find_spec("pytest") is None:
        raise ZooError("the checks need pytest, which is not installed; pip install 'torch-zoo[testing]'")
    collect(plugin, models=models, checks=checks)
    with tempfile.TemporaryDirectory(prefix="zoo-check-") as folder:
        Path(folder, "pytest.ini").write_text("[pytest]\n")
        arguments = [f"--zoo-plugin={plugin}", f"--zoo-models={models}"]
        arguments += [f"--zoo-check={pattern}" for pattern in checks]
        done = subprocess.run(
            [*_pytest(Path(folder)), *(["-q"] if quiet else []), *arguments],
            check=False,
            cwd=folder,
            env=_environment(),
        )
    if done.returncode == INTERRUPTED:
        raise KeyboardInterrupt
    if done.returncode not in (PASSED, FAILED):
        raise ZooError(f"the checks of {plugin} could not be run: pytest ended with {done.returncode}")
    return done.returncode == PASSED


def _pytest(folder: Path) -> list[str]:
    options = ["-q", "-rfEsxX", "--tb=short", "--no-header", "--disable-warnings", "--noconftest"]
    options += [f"-c={folder / 'pytest.ini'}", f"--rootdir={folder}", f"--basetemp={folder / 'files'}"]
    options += [
        "--import-mode=importlib",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:logging",
        "-p",
        "zoo.testing.plugin",
    ]
    return [sys.executable, "-P", "-m", "pytest", *options, "--pyargs", "zoo.testing.test_conformance"]


def _environment() -> dict[str, str]:
    """The variables of this process, for one in another folder with no plugins of pytest but ours."""
    kept = {name: value for name, value in os.environ.items() if name not in FOREIGN}
    path = [str(Path(part).resolve()) for part in kept.get("PYTHONPATH", "").split(os.pathsep) if part]
    found = {"PYTHONPATH": os.pathsep.join(path)} if path else {}
    return {**kept, **found, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
