"""Which checks a plugin has to pass, and pytest's parameters made of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from zoo.errors import PluginError, UnknownNameError, ZooError, closest, unknown
from zoo.registry import Plugin, Registry, installed
from zoo.testing.check import Check
from zoo.testing.kinds import KINDS
from zoo.testing.known import KnownFailure, check_known, read_known

if TYPE_CHECKING:
    import pytest


def collect(
    plugin: str, *, models: str = "*", checks: Sequence[str] = ("*",), registry: Registry | None = None
) -> list[Check]:
    """The checks of an installed plugin: its own, then those of its models and of the weights it brings.

    `models` and `checks` are globs, over full or bare names of models and over names of checks; the plugin's
    own checks are left out where only some models are wanted. Raises `UnknownNameError` for what matches
    nothing, `PluginError` for a plugin that is set aside, `SpecError` for a bad `conformance.toml`.
    """
    registry = registry or installed()
    _check_patterns(checks)
    found = _active(registry, plugin)
    everything = list(_every_check(registry, found))
    known = read_known(found)
    check_known(found, known, everything)
    chosen = [_declared(check, known) for check in everything if _wanted(check, models, checks)]
    if not chosen:
        raise UnknownNameError(
            f"{plugin} has nothing to check that matches {models!r}; see: zoo list '{plugin}/*'"
        )
    return chosen


def parametrize(plugin: str, *, models: str = "*", checks: str | Sequence[str] = "*") -> pytest.MarkDecorator:
    """Marks a test that takes a `check`, to be run once for each of the plugin's models and checks.

    `models` and `checks` are globs that leave some out; see `collect`.
    """
    import pytest

    patterns = (checks,) if isinstance(checks, str) else checks
    try:
        found = collect(plugin, models=models, checks=patterns)
    except ZooError as error:
        raise pytest.Collector.CollectError(str(error)) from None
    return pytest.mark.parametrize("check", parameters(found))


def parameters(checks: Sequence[Check]) -> list[Any]:
    """One pytest parameter for each check; a known failure is expected to fail, and nothing else."""
    import pytest

    return [
        pytest.param(
            check,
            id=check.id,
            marks=[pytest.mark.xfail(strict=True, reason=check.known)] if check.known else [],
        )
        for check in checks
    ]


def _active(registry: Registry, name: str) -> Plugin:
    """The plugin of that name; raises where it is unknown or does not work."""
    if name not in registry.plugins:
        raise unknown("plugin", name, sorted(registry.plugins))
    registry.check_tasks()  # calls hooks, which may yet set it aside
    plugin = registry.plugins[name]
    if not plugin.active:
        raise PluginError(name, f"{plugin.state}: {plugin.reason}; {plugin.mend}")
    return plugin


def _every_check(registry: Registry, plugin: Plugin) -> Iterator[Check]:
    def checks(of: str, subject: str, tasks: Sequence[str] = ()) -> Iterator[Check]:
        for kind in KINDS:
            if kind.of == of and (not kind.tasks or set(kind.tasks).intersection(tasks)):
                yield Check(plugin.name, subject, kind, registry)

    yield from checks("plugin", "")
    for model in registry.models.values():
        if model.plugin is plugin:
            yield from checks("model", model.name, model.spec.tasks)
    for weights in sorted(registry.weights_of(plugin), key=lambda spec: spec.name):
        yield from checks("weights", weights.name)


def _wanted(check: Check, models: str, checks: Sequence[str]) -> bool:
    named = any(fnmatchcase(check.name, pattern) for pattern in checks)
    return named and (models == "*" or check.is_about(models))


def _declared(check: Check, known: Sequence[KnownFailure]) -> Check:
    reasons = [entry.reason for entry in known if entry.covers(check)]
    return replace(check, known="; ".join(reasons))


def _check_patterns(patterns: Sequence[str]) -> None:
    """Raises `UnknownNameError` for a pattern that matches no check."""
    names = [kind.name for kind in KINDS]
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            close = closest(pattern, names)
            hint = f"did you mean {' or '.join(close)}?" if close else f"known: {', '.join(names)}"
            raise UnknownNameError(f"no check named {pattern!r}; {hint}", close=close)
