"""What makes a plugin unusable: checks before and after its import, and each fault as a reason and a mend."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from functools import cache
from types import ModuleType
from typing import Any

import pluggy

import zoo
from zoo import hookspecs
from zoo.errors import PluginError, SpecError, ZooError, closest, describe_error
from zoo.plugins import Plugin

PLUGIN_NAME = re.compile(r"[a-z][a-z0-9_-]*")
MAJOR, MINOR = (int(part) for part in zoo.__version__.split(".")[:2])
THIS_SERIES = f"torch-zoo<{MAJOR}.{MINOR + 1},>={MAJOR}.{MINOR}"  # met by construction; most plugins say it


def explain_clash(first: Plugin, second: Plugin) -> tuple[str, str]:
    """The reason and the mend where two distributions bring a plugin of the same name."""
    reason = f"{first.origin} and {second.origin} both bring a plugin named {first.name!r}"
    return reason, f"uninstall one: pip uninstall {second.distribution or second.module_name}"


def check_requirements(plugin: Plugin) -> None:
    """Whether the installed torch-zoo is one that the plugin says it works with."""
    for text in plugin.package_requirements:
        if text == THIS_SERIES or not re.match(r"torch[-_.]+zoo(?![\w.-])", text, re.IGNORECASE):
            continue
        from packaging.requirements import Requirement  # slow to import, and seldom needed

        requirement = Requirement(text)
        applies = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if applies and not requirement.specifier.contains(zoo.__version__, prereleases=True):
            raise PluginError(
                plugin.name, f"needs torch-zoo{requirement.specifier}, installed is {zoo.__version__}"
            )


def check_entry_point(plugin: Plugin) -> None:
    """Whether it has a name that models can carry, and names a module."""
    if not PLUGIN_NAME.fullmatch(plugin.name):
        reason = f"its entry point's name {plugin.name!r} is not of lower-case letters, digits, '-' and '_'"
        raise PluginError(plugin.name, reason)
    if not plugin.module_name or ":" in plugin.module_name:
        named = repr(plugin.module_name) if plugin.module_name else "nothing"
        raise PluginError(plugin.name, f"its entry point names {named}, not a module")


@cache
def _known_hooks() -> tuple[str, ...]:
    return tuple(name for name in vars(hookspecs) if name.startswith("zoo_"))


def check_hooks(manager: pluggy.PluginManager, module: ModuleType) -> None:
    """Names every hook that is misspelt, that is no function or that was not marked as an implementation."""
    known = _known_hooks()
    for name, value in list(vars(module).items()):
        routine = inspect.isroutine(value)
        marked = routine and manager.parse_hookimpl_opts(module, name) is not None
        if marked and name not in known:
            raise SpecError(
                f"{module.__name__}.{name}", [f"no such hook; did you mean {_nearest(name, known)}?"]
            )
        if name in known and not marked:
            fault = "is not marked with @zoo.hookimpl" if routine else f"is {kind_of(value)}, not a function"
            raise SpecError(f"{module.__name__}.{name}", [fault])


def _nearest(name: str, known: Sequence[str]) -> str:
    return (closest(name, known) or [", ".join(known)])[0]


def explain(plugin: Plugin, error: BaseException) -> tuple[str, str]:
    """The reason and the mend for what a plugin's import or hook raised."""
    upgrade = f"upgrade or fix {plugin.origin}, or run 'zoo plugins disable {plugin.name}'"
    if isinstance(error, PluginError):
        return error.reason, upgrade
    if isinstance(error, ModuleNotFoundError) and error.name:
        mend = install_hint(plugin, error).removeprefix("; ") or upgrade  # its own file: nothing to install
        return f"needs the module {error.name!r}, which is not installed", mend
    if isinstance(error, SystemExit):
        return f"called sys.exit({error.code!r}) while it was loaded", upgrade
    if isinstance(error, pluggy.PluginValidationError):
        return " ".join(str(error).split()), upgrade  # names the hook first, its fault in later lines
    if isinstance(error, ZooError):
        return str(error), upgrade
    return describe_error(error), upgrade


def install_hint(plugin: Plugin, error: BaseException) -> str:
    """What to install where a module of another package is missing."""
    if not isinstance(error, ModuleNotFoundError) or not error.name:
        return ""
    package = error.name.partition(".")[0]
    return "" if package == plugin.package else f"; pip install {package}"


def kind_of(value: Any) -> str:
    """What somebody returned instead of what was expected."""
    return "None" if value is None else f"a {type(value).__name__}"
