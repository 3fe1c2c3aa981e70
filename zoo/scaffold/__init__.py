"""New plugin projects, from templates that come with this package.

A project is what `templates/project` holds and what the folder of its task adds. Every file ends in
`.in`, so that no tool takes it for code, and is a `string.Template`; `package` in a path stands for
the package's name.
"""

from __future__ import annotations

import re
import tempfile
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata, resources
from importlib.resources.abc import Traversable
from pathlib import Path
from stat import S_ISDIR
from string import Template
from typing import get_args

from zoo import core
from zoo.errors import SpecError, UnknownNameError, ZooError
from zoo.quarantine import MAJOR, MINOR
from zoo.registry import discover, installed
from zoo.specs import PluginName

SHARED, SUFFIX, PACKAGE, MANIFEST = "project", ".in", "package", "package/models.toml"
VALID = re.compile(get_args(PluginName)[1].pattern)


@dataclass(frozen=True)
class Project:
    """A plugin project as it was written: its folder, its plugin's name, its model and data for that."""

    folder: Path
    name: str
    model: str
    data: str
    files: tuple[Path, ...]


def new_plugin(name: str, task: str, folder: Path | None = None) -> Project:
    """Writes a complete project for a plugin `name` with one model for `task`; by default in `zoo-NAME`.

    Raises `SpecError` for a name that cannot be had, `UnknownNameError` for a task without a template,
    `ZooError` where the folder holds something already or cannot be written. Then nothing was written.
    """
    project = _check_name(name)
    templates = _templates(task)
    folder = folder or Path(project)
    _check_free(folder)
    package = project.replace("-", "_")
    values = {
        "name": name,
        "project": project,
        "package": package,
        "task": task,
        "core": f"torch-zoo>={MAJOR}.{MINOR},<{MAJOR}.{MINOR + 1}",
        "data": next(spec.name for spec in core.zoo_datasets() if spec.problem.task == task),
    }
    (model,) = tomllib.loads(Template(templates[MANIFEST]).substitute(values))["model"]
    values |= {"model": model["name"], "summary": model["summary"], "paper": model["paper"]}
    texts = {
        Path(*(package if part == PACKAGE else part for part in path.split("/"))): text
        for path, template in templates.items()
        for text in [Template(template).substitute(values)]
    }
    _write(folder, texts)
    return Project(folder, name, f"{name}/{model['name']}", values["data"], tuple(texts))


def templated_tasks() -> list[str]:
    """The tasks for which there are templates."""
    return sorted(entry.name for entry in _root().iterdir() if entry.is_dir() and entry.name != SHARED)


def _check_name(name: str) -> str:
    """The name of the plugin's distribution; raises `SpecError` for a name that no new plugin can have."""
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    plain = re.sub(r"^(torch-)?(zoo-)*[^a-z]*", "", plain)
    if not VALID.match(name) or not name[-1].isalnum():
        hint = f"; did you mean {plain!r}?" if plain else ""
        rule = "lower-case letters, digits, - and _, a letter first and no sign last"
        raise _refused(name, f"not a plugin's name: {rule}{hint}")
    dashed = name.replace("_", "-")
    if dashed.startswith("zoo-"):
        raise _refused(name, f"'zoo-' is put before it anyway; say {plain!r}")
    project = f"zoo-{dashed}"
    for plugin in discover():
        if dashed == plugin.name.replace("_", "-") or project == plugin.package.replace("_", "-"):
            reason = f"plugin {plugin.name!r} is installed already, from {plugin.origin}"
            raise _refused(name, f"{reason}; choose another name")
    if found := next(iter(metadata.distributions(name=project)), None):
        raise _refused(name, f"{project} {found.version} is installed already; choose another name")
    return project


def _refused(name: str, reason: str) -> SpecError:
    return SpecError(f"plugin {name!r}", [reason])


def _templates(task: str) -> dict[str, str]:
    """The templates for `task` by path; raises `UnknownNameError` where there are none."""
    known = templated_tasks()
    if task not in known:
        installed().task(task)
        raise UnknownNameError(f"task {task!r} has no template; there are: {', '.join(known)}")
    return {**dict(_read(_root() / SHARED)), **dict(_read(_root() / task))}


def _read(folder: Traversable, above: str = "") -> Iterator[tuple[str, str]]:
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.is_dir():
            yield from _read(entry, f"{above}{entry.name}/")
        elif entry.name.endswith(SUFFIX):
            yield above + entry.name.removesuffix(SUFFIX), entry.read_text(encoding="utf-8")


def _root() -> Traversable:
    return resources.files(__name__) / "templates"


def _check_free(folder: Path) -> None:
    try:
        taken = not S_ISDIR(folder.stat().st_mode) or any(folder.iterdir())
    except FileNotFoundError:
        return
    except OSError as error:
        raise _unwritable(folder, error) from None
    if taken:
        raise ZooError(f"{str(folder)!r} exists already, and nothing is overwritten; choose another --output")


def _write(folder: Path, texts: dict[Path, str]) -> None:
    """All files or none: they are written beside the folder, which then takes its place in one step."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".zoo-new-", dir=folder.parent) as scratch:
            made = Path(scratch, folder.name)
            for path, text in texts.items():
                (made / path).parent.mkdir(parents=True, exist_ok=True)
                (made / path).write_text(text, encoding="utf-8")
            made.rename(folder)
    except OSError as error:
        raise _unwritable(folder, error) from None


def _unwritable(folder: Path, error: OSError) -> ZooError:
    return ZooError(f"{str(folder)!r} cannot be written: {error.strerror}; choose another --output")
