"""Fresh virtual environments that hold our wheels, for tests that need an installation as a user has it.

`from environments import fresh_venv, wheels` in a test module. Third-party packages are linked from
the running environment, since nothing may be downloaded; ours are built as wheels, once a session, and
installed by pip. Never let pip remove or upgrade a linked package: it would act on the original.
"""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import venv
from functools import cache
from importlib import metadata
from pathlib import Path

from filelock import FileLock

ROOT = Path(__file__).parents[1]
PROJECTS = {
    "torch-zoo": ROOT,
    "torch-zoo-cnn": ROOT / "plugins" / "cnn",
    "torch-zoo-lstm": ROOT / "plugins" / "lstm",
    "torch-zoo-timm": ROOT / "plugins" / "timm",
    "torch-zoo-transformer": ROOT / "plugins" / "transformer",
    "torch-zoo-weights": ROOT / "weights",
}
WHEELHOUSE = "ZOO_TEST_WHEELHOUSE"  # a folder that the whole test session shares
OFFLINE = {  # for pip: nothing is downloaded, nothing asked of an index
    "PIP_NO_INDEX": "1",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PIP_NO_INPUT": "1",
    "PIP_NO_BUILD_ISOLATION": "0",  # as pip reads it: do not isolate, so build with what is linked
}


def fresh_venv(path: Path, *distributions: str) -> Path:
    """A new virtual environment at `path` with those of our wheels (by default all six); its Python.

    It has `bin/zoo`, and `python -m pip` works in it.
    """
    venv.EnvBuilder(symlinks=True, with_pip=False).create(path)
    python = path / "bin" / "python"
    _link_packages(_site_packages(path))
    install(python, *(str(wheel(name)) for name in distributions or PROJECTS))
    return python


def install(python: Path, *wheels: str) -> None:
    """Installs wheels, and nothing that they require, into the environment of `python`."""
    command = [str(python), "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile", *wheels]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), check=False)
    assert done.returncode == 0, done.stderr


def run(
    python: Path, *arguments: str, cwd: Path | None = None, status: int | None = 0, **extra: str
) -> subprocess.CompletedProcess[str]:
    """`python ARGUMENTS` in that environment, offline; `extra` are further environment variables.

    Not in the repository, whose own folders would come first on the path.
    """
    done = subprocess.run(
        [str(python), *arguments],
        capture_output=True,
        text=True,
        cwd=cwd or python.parent,
        env={**environment(), **extra},
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert status is None or done.returncode == status, f"{done.stdout}\n{done.stderr}"
    return done


def environment() -> dict[str, str]:
    """The variables of a process in a fresh environment: nothing on the path but its own packages."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    return {**kept, **OFFLINE, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}


def write_project(
    folder: Path, name: str, files: dict[str, str], *, version: str = "1.0", requires: str = "torch-zoo"
) -> Path:
    """A project `zoo-NAME` of the plugin NAME: a package `zoo_NAME` with these files by name; its folder."""
    package = folder / f"zoo_{name}"
    package.mkdir(parents=True, exist_ok=True)
    (folder / "pyproject.toml").write_text(f"""
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "zoo-{name}"
version = "{version}"
dependencies = ["{requires}"]

[project.entry-points.zoo]
{name} = "zoo_{name}"
""")
    for file, content in files.items():
        (package / file).write_text(content)
    return folder


@cache
def wheels() -> Path:
    """A folder with the wheels of all six distributions, built once for all workers of a session."""
    for name in PROJECTS:
        wheel(name)
    return _wheelhouse()


@cache
def wheel(distribution: str) -> Path:
    """The wheel of one of our distributions, built unless a worker of this session has built it."""
    return build(PROJECTS[distribution], _wheelhouse() / distribution)


def build(project: Path, folder: Path) -> Path:
    """The wheel of a project, which is built into `folder` by what this environment has."""
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):
        if not list(folder.glob("*.whl")):
            command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder)]
            done = subprocess.run([*command, str(project)], capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout + done.stderr
    (made,) = folder.glob("*.whl")
    return made


@cache
def _wheelhouse() -> Path:
    """One folder for each test session, which its workers share."""
    given = os.environ.get(WHEELHOUSE)
    folder = Path(given or tempfile.mkdtemp(prefix="zoo-wheels-"))
    if not given:
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _link_packages(target: Path) -> None:
    """Every third-party package of this environment, and not one of ours or of another plugin."""
    source = Path(sysconfig.get_path("purelib"))
    left_out = _own_entries() | {"__pycache__"}
    for entry in source.iterdir():
        if entry.name not in left_out and not (target / entry.name).exists():
            (target / entry.name).symlink_to(entry)


def _own_entries() -> set[str]:
    """What torch-zoo and the plugins have put into this environment's site-packages."""
    found: set[str] = set()
    for distribution in metadata.distributions():
        plugin = any(entry_point.group == "zoo" for entry_point in distribution.entry_points)
        if plugin or distribution.metadata["Name"] == "torch-zoo":
            found |= {file.parts[0] for file in distribution.files or ()}
    return found


def _site_packages(path: Path) -> Path:
    return Path(sysconfig.get_path("purelib", "venv", {"base": str(path), "platbase": str(path)}))
