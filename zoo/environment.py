"""The Python environment that zoo runs in: installing plugins into it and removing them, by its own pip.

Nothing here imports a plugin: what is installed is read from metadata, what it brings is asked of a fresh
process, which sees the environment as it has become.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec

from zoo import settings
from zoo.distributions import normalize
from zoo.errors import PluginError, ZooError, unknown
from zoo.plugins import Plugin, discover

CORE = "torch-zoo"
PROJECT_FILES = ("pyproject.toml", "setup.py", "setup.cfg")


def install(specs: Sequence[str], *, options: Sequence[str] = ()) -> list[str]:
    """Installs what pip can: folders, wheels, names, URLs; the names of the plugins that are new or changed.

    pip's progress goes to stderr. Raises `ZooError` with pip's last error.
    """
    before = _fingerprints()
    run_pip("install", *options, *map(_located, specs))
    after = _fingerprints()
    return sorted({name for name, *_ in after - before})


def uninstall(distribution: str) -> None:
    """Removes a distribution, and what was set for its plugins; raises `ZooError` with pip's last error."""
    gone = brought_by(distribution)
    run_pip("uninstall", "--yes", distribution)
    for name in settings.disabled_plugins().intersection(gone):
        settings.set_disabled(name, False)


def run_pip(*arguments: str) -> None:
    """Runs this interpreter's pip, its progress on stderr; raises `ZooError` with its last error."""
    if find_spec("pip") is None:
        raise ZooError(f"this environment has no pip; add it with: {sys.executable} -m ensurepip")
    quiet = ("--quiet",) if settings.quiet() else ()
    command = [sys.executable, "-P", "-m", "pip", *arguments, *quiet, "--disable-pip-version-check"]
    with subprocess.Popen(command, stdout=_stderr(), stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        lines = []
        for line in running.stderr:
            lines.append(line)
            if not line.startswith("ERROR:"):  # the last one is told below
                sys.stderr.write(line)
    if running.returncode:
        raise ZooError(f"pip {arguments[0]} failed: {_last_error(lines)}")


def find_installed(name: str) -> Plugin:
    """The plugin of that name, or the first of the distribution of that name, whatever its state.

    Raises `UnknownNameError` where there is none, `PluginError` where two distributions bring it.
    """
    plugins = discover()
    found = [plugin for plugin in plugins if plugin.name == name]
    found = found or [plugin for plugin in plugins if normalize(plugin.distribution) == normalize(name)]
    if not found:
        raise unknown("plugin", name, sorted({plugin.name for plugin in plugins}))
    homes = sorted({plugin.distribution for plugin in found})
    if len(homes) > 1:
        raise PluginError(name, f"brought by {' and '.join(homes)}; say which of them")
    return found[0]


def is_core(name: str) -> bool:
    """Whether a distribution of that name is zoo itself."""
    return normalize(name) == CORE


def brought_by(distribution: str) -> list[str]:
    """The names of the plugins of a distribution."""
    wanted = normalize(distribution)
    return [plugin.name for plugin in discover() if normalize(plugin.distribution) == wanted]


def known_plugin(name: str) -> str:
    """`name`, if a plugin of that name is installed or put off; raises `UnknownNameError` otherwise."""
    names = sorted({plugin.name for plugin in discover()} | settings.disabled_plugins())
    if name not in names:
        raise unknown("plugin", name, names)
    return name


def ask_zoo(*arguments: str) -> dict[str, Any]:
    """The JSON that a fresh `zoo` process prints; raises `ZooError` with its last line where it fails."""
    command = [sys.executable, "-P", "-m", "zoo", *arguments, "--json"]
    lenient = {**os.environ, "ZOO_STRICT": "0"}  # another plugin's fault is no reason not to answer
    done = subprocess.run(command, capture_output=True, check=False, env=lenient)
    try:
        document: dict[str, Any] = msgspec.json.decode(done.stdout)
    except msgspec.DecodeError:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        told = last[0] if last else f"exit status {done.returncode}"
        raise ZooError(f"zoo {' '.join(arguments)}: {told}") from None
    return document


def _fingerprints() -> set[tuple[str, str, str, str]]:
    return {(p.name, p.distribution, p.version, p.module_name) for p in discover()}


def _located(spec: str) -> str:
    """A folder that holds a project as a path, which pip would take for a name; anything else as it is."""
    folder = Path(spec)
    is_project = any((folder / file).is_file() for file in PROJECT_FILES)
    return str(folder.resolve()) if is_project else spec


def _stderr() -> Any:
    """Where pip may write: our own stderr, so that it sees a terminal, if stderr is a file at all."""
    try:
        sys.stderr.fileno()
    except (AttributeError, OSError, ValueError):
        return subprocess.DEVNULL
    return sys.stderr


def _last_error(lines: Iterable[str]) -> str:
    told = [line.strip() for line in lines if line.strip()]
    errors = [line[len("error:") :].strip() for line in told if line.lower().startswith("error:")]
    return (errors or told or ["it said nothing"])[-1]
