"""Which plugins are installed, which of them work, and what they bring.

Entry points are enumerated here and plugins registered one at a time: pluggy's own loader lets
one bad plugin take everything down and skips duplicates in silence. Whatever is wrong with a
plugin sets that plugin aside, with a reason and a mend, and nothing else.
"""

from __future__ import annotations

import importlib
import inspect
import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache, cached_property
from importlib import metadata
from types import ModuleType
from typing import Any, TypeVar

import pluggy

import zoo
from zoo import hookspecs
from zoo.errors import PluginError, SpecError, UnknownNameError, ZooError, closest, unknown
from zoo.settings import disabled_plugins
from zoo.specs import (
    DatasetSpec,
    DeviceSpec,
    Evidence,
    ModelSpec,
    Record,
    TaskSpec,
    WeightsSpec,
    split_name,
)

R = TypeVar("R", bound=Record)
CORE = "zoo.core"
MAJOR, MINOR = (int(part) for part in zoo.__version__.split(".")[:2])
THIS_SERIES = f"torch-zoo<{MAJOR}.{MINOR + 1},>={MAJOR}.{MINOR}"  # met by construction; most plugins say it


@dataclass
class Plugin:
    """One installed plugin: where it comes from and whether it works.

    `state` is `active`, `quarantined` (with `reason` and `mend`) or `disabled`.
    """

    name: str
    module_name: str
    distribution: str = ""
    version: str = ""
    state: str = "active"
    reason: str = ""
    mend: str = ""
    load_seconds: float = 0.0
    module: ModuleType | None = field(default=None, repr=False)
    package_requirements: tuple[str, ...] = field(default=(), repr=False)

    @property
    def active(self) -> bool:
        """Whether its models can be used."""
        return self.state == "active"

    @property
    def origin(self) -> str:
        """The distribution and version, as an error message names them."""
        return f"{self.distribution} {self.version}".strip() or self.module_name


@dataclass(frozen=True)
class Model:
    """A model as the registry knows it: its spec, its plugin and the weights that exist for it."""

    spec: ModelSpec
    plugin: Plugin
    weights: tuple[WeightsSpec, ...] = ()

    @property
    def name(self) -> str:
        """The full name, such as `cnn/lenet5`."""
        return f"{self.plugin.name}/{self.spec.name}"

    def tagged(self, tag: str) -> WeightsSpec:
        """The weights of that tag; raises `UnknownNameError` with the tags there are."""
        for weights in self.weights:
            if weights.tag == tag:
                return weights
        tags = [weights.tag for weights in self.weights]
        close = closest(tag, tags)
        known = f"did you mean {close[0]}?" if close else f"tags: {', '.join(tags) or 'none'}"
        raise UnknownNameError(f"{self.name} has no weights tagged {tag!r}; {known}", close=close)


class Registry:
    """Everything that the installed plugins bring, by name."""

    def __init__(self, plugins: Sequence[Plugin], *, report: Callable[[str], None] | None = None) -> None:
        self.plugins: dict[str, Plugin] = {}
        self._manager = pluggy.PluginManager("zoo")
        self._manager.add_hookspecs(hookspecs)
        self._report = report or _to_stderr
        core = Plugin(CORE, CORE, distribution="torch-zoo", module=importlib.import_module(CORE))
        self._core = core
        self._manager.register(core.module, name=CORE)
        for plugin in plugins:
            first = self.plugins.setdefault(plugin.name, plugin)
            if first is not plugin and first.active:
                self._quarantine(first, *_clash(first, plugin))
        for plugin in self.plugins.values():
            if plugin.active:
                self._load(plugin)

    # -- plugins --

    def _load(self, plugin: Plugin) -> None:
        started = time.perf_counter()
        try:
            _check_requirements(plugin)
            plugin.module = importlib.import_module(plugin.module_name)
            _check_hooks(self._manager, plugin.module)
            self._manager.register(plugin.module, name=plugin.name)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # SystemExit too: a plugin must not end the process
            self._quarantine(plugin, *_explain(plugin, error))
        plugin.load_seconds = time.perf_counter() - started

    def _quarantine(self, plugin: Plugin, reason: str, mend: str) -> None:
        if os.environ.get("ZOO_STRICT") == "1":
            raise PluginError(plugin.name, reason)
        plugin.state, plugin.reason, plugin.mend = "quarantined", reason, mend
        if self._manager.has_plugin(plugin.name):
            self._manager.unregister(name=plugin.name)
        if known := vars(self).get("models"):  # a later hook may fail after the models were listed
            vars(self)["models"] = {name: model for name, model in known.items() if model.plugin.active}
        self._report(f"zoo: plugin {plugin.name!r} ({plugin.origin}) set aside: {reason}; see 'zoo plugins'")

    def _collect(self, hook: str, type: type[R], **arguments: Any) -> list[tuple[Plugin, R]]:
        """What every plugin returns from `hook`, core first; a plugin that fails is set aside."""
        found: list[tuple[Plugin, R]] = []
        for plugin in [self._core, *self.plugins.values()]:
            if plugin.active:
                try:
                    found += [(plugin, record) for record in self._call(plugin, hook, type, **arguments)]
                except KeyboardInterrupt:
                    raise
                except BaseException as error:
                    self._quarantine(plugin, *_explain(plugin, error))
        return found

    def _call(self, plugin: Plugin, hook: str, type: type[R], **arguments: Any) -> list[R]:
        implementation = getattr(plugin.module, hook, None)
        if implementation is None:
            return []
        taken = inspect.signature(implementation).parameters  # a hook may leave out what it does not use
        result = implementation(**{name: value for name, value in arguments.items() if name in taken})
        if isinstance(result, str) or not isinstance(result, Iterable):
            raise PluginError(plugin.name, f"{hook} returned {_kind(result)}, not an iterable")
        records = list(result)
        for record in records:
            if not isinstance(record, type):
                raise PluginError(
                    plugin.name, f"{hook} returned {_kind(record)} where {type.__name__} was expected"
                )
        return records

    def call(self, hook: str, type: type[Any], **arguments: Any) -> list[Any]:
        """The results of a hook that takes arguments, from every plugin that has it and works."""
        return [record for _, record in self._collect(hook, type, **arguments)]

    # -- models and weights --

    @cached_property
    def models(self) -> dict[str, Model]:
        """Every usable model by its full name, sorted."""
        specs = self._unique("zoo_models", ModelSpec, lambda plugin, spec: f"{plugin.name}/{spec.name}")
        weights: dict[str, list[WeightsSpec]] = {}
        for _, record in self._unique("zoo_weights", WeightsSpec, lambda plugin, spec: spec.name):
            weights.setdefault(record.model, []).append(record)
        models = {
            f"{plugin.name}/{spec.name}": Model(
                spec, plugin, tuple(weights.get(f"{plugin.name}/{spec.name}", ()))
            )
            for plugin, spec in specs
            if plugin.active  # its weights may have had it set aside
        }
        return dict(sorted(models.items()))

    def _unique(self, hook: str, type: type[R], name: Callable[[Plugin, R], str]) -> list[tuple[Plugin, R]]:
        """What `_collect` found, without the plugins that bring a name twice or bring another's."""
        found = self._collect(hook, type)
        owner: dict[str, Plugin] = {}
        for plugin, record in found:
            key = name(plugin, record)
            if key in owner and owner[key].active and plugin.active:
                other = "itself" if owner[key] is plugin else f"plugin {owner[key].name!r}"
                self._quarantine(
                    plugin,
                    f"{hook} names {key!r}, which {other} has already",
                    f"rename it in {plugin.origin}, or run 'zoo plugins disable {plugin.name}'",
                )
            if key not in owner or not owner[key].active:
                owner[key] = plugin
        return [(plugin, record) for plugin, record in found if plugin.active]

    def model(self, name: str) -> tuple[Model, WeightsSpec | None]:
        """The model of that name and, where the name has a tag, its weights.

        Raises `UnknownNameError` for a name that is unknown or ambiguous, `PluginError` where the plugin
        of that name is set aside.
        """
        parts = split_name(name)
        if parts is None:
            raise UnknownNameError(f"{name!r} is not a model's name; expected [plugin/]model[.tag]")
        plugin, model, tag = parts
        if plugin is None:
            found = [entry for entry in self.models.values() if entry.spec.name == model]
        else:
            found = [self.models[f"{plugin}/{model}"]] if f"{plugin}/{model}" in self.models else []
        if len(found) > 1:
            names = " or ".join(f"{entry.name} ({entry.plugin.origin})" for entry in found)
            raise UnknownNameError(
                f"{model!r} is ambiguous: say {names}", close=tuple(entry.name for entry in found)
            )
        if not found:
            raise self._missing(plugin, model)
        return found[0], found[0].tagged(tag) if tag else None

    def _missing(self, plugin: str | None, model: str) -> ZooError:
        if plugin is not None and plugin in self.plugins and not self.plugins[plugin].active:
            state = self.plugins[plugin]
            return PluginError(plugin, f"{state.state}: {state.reason}; {state.mend}")
        names = list(self.models) if plugin else [entry.spec.name for entry in self.models.values()]
        fault = unknown("model", f"{plugin}/{model}" if plugin else model, names)
        aside = [state.name for state in self.plugins.values() if state.state == "quarantined"]
        if aside and not fault.close:
            return UnknownNameError(f"{fault} (set aside: {', '.join(aside)}; see 'zoo plugins')")
        return fault

    def list_models(
        self,
        pattern: str = "*",
        *,
        task: str | None = None,
        family: str | None = None,
        plugin: str | None = None,
        license: str | None = None,
        pretrained: bool | None = None,
        max_parameters: int | None = None,
    ) -> list[Model]:
        """The models that pass every filter, by name; `pattern` is a glob over full or bare names.

        With `license`, a model is kept when it or one of its weights has it.
        """
        if task is not None:
            self.task(task)

        def keep(entry: Model) -> bool:
            spec = entry.spec
            licenses = {spec.license.lower(), *(weights.license.lower() for weights in entry.weights)}
            size = spec.facts.parameters if spec.facts else None
            return (
                (fnmatchcase(entry.name, pattern) or fnmatchcase(spec.name, pattern))
                and (task is None or task in spec.tasks)
                and (family is None or family == spec.family)
                and (plugin is None or plugin == entry.plugin.name)
                and (license is None or license.lower() in licenses)
                and (pretrained is None or pretrained == bool(entry.weights))
                and (max_parameters is None or (size is not None and size <= max_parameters))
            )

        return [entry for entry in self.models.values() if keep(entry)]

    # -- tasks, data sets, devices, evidence --

    @cached_property
    def tasks(self) -> dict[str, TaskSpec]:
        """Every task by name."""
        return {name: spec for name, (_, spec) in self._tasks.items()}

    @cached_property
    def datasets(self) -> dict[str, DatasetSpec]:
        """Every data set usable as `--data NAME`, by name."""
        return {name: spec for name, (_, spec) in self._datasets.items()}

    @cached_property
    def _tasks(self) -> dict[str, tuple[Plugin, TaskSpec]]:
        return {s.name: (plugin, s) for plugin, s in self._unique("zoo_tasks", TaskSpec, lambda _, s: s.name)}

    @cached_property
    def _datasets(self) -> dict[str, tuple[Plugin, DatasetSpec]]:
        found = self._unique("zoo_datasets", DatasetSpec, lambda _, s: s.name)
        return {spec.name: (plugin, spec) for plugin, spec in found}

    @cached_property
    def devices(self) -> dict[str, DeviceSpec]:
        """Every device that can be planned for, by name."""
        return {s.name: s for _, s in self._unique("zoo_devices", DeviceSpec, lambda _, s: s.name)}

    @cached_property
    def evidence(self) -> list[Evidence]:
        """Every measured result."""
        return [record for _, record in self._collect("zoo_evidence", Evidence)]

    def task(self, name: str) -> TaskSpec:
        """The task of that name; raises `UnknownNameError`."""
        if name not in self.tasks:
            raise unknown("task", name, list(self.tasks))
        return self.tasks[name]

    def task_implementation(self, name: str) -> Any:
        """The `zoo.tasks.base.Task` of that name; raises `UnknownNameError` or `PluginError`."""
        spec = self.task(name)
        return self.resolve(self._tasks[name][0], spec.implementation)

    def dataset_loader(self, name: str) -> Any:
        """The function that makes the data set of that name; raises `UnknownNameError` or `PluginError`."""
        if name not in self._datasets:
            raise unknown("dataset", name, list(self._datasets))
        plugin, spec = self._datasets[name]
        return self.resolve(plugin, spec.loader)

    def resolve(self, plugin: Plugin, target: str) -> Any:
        """The object that `"package.module:name"` names; a failure is told with the plugin's name."""
        module, _, attribute = target.partition(":")
        try:
            return getattr(importlib.import_module(module), attribute)
        except (ZooError, KeyboardInterrupt):
            raise
        except BaseException as error:
            raise PluginError(plugin.name, f"{target!r} cannot be imported: {_first_line(error)}") from error


def discover() -> list[Plugin]:
    """The installed plugins, by entry point name; those left out by `ZOO_PLUGINS` or disabled say so.

    Two distributions may bring the same name: both are here, and the registry sets that name aside.
    """
    only = os.environ.get("ZOO_PLUGINS")
    allowed = None if only is None else {name.strip() for name in only.split(",")}
    disabled = disabled_plugins()
    plugins: dict[tuple[str, str, str], Plugin] = {}  # one that is found twice on the path is one
    for entry_point in sorted(metadata.entry_points(group="zoo"), key=lambda e: (e.name, e.value)):
        distribution = entry_point.dist
        plugin = Plugin(entry_point.name, entry_point.value)
        if distribution is not None:
            told = distribution.metadata  # parsed anew at each look
            plugin.distribution, plugin.version = told["Name"], told["Version"]
            plugin.package_requirements = tuple(told.get_all("Requires-Dist") or ())
        if allowed is not None and plugin.name not in allowed:
            plugin.state, plugin.reason = "disabled", f"ZOO_PLUGINS={only} leaves it out"
            plugin.mend = f"unset ZOO_PLUGINS, or add {plugin.name} to it"
        elif plugin.name in disabled:
            plugin.state, plugin.reason = "disabled", "put off by 'zoo plugins disable'"
            plugin.mend = f"run 'zoo plugins enable {plugin.name}'"
        plugins.setdefault((plugin.name, plugin.distribution, plugin.module_name), plugin)
    return list(plugins.values())


@cache
def installed() -> Registry:
    """The registry of this process's installed plugins."""
    return Registry(discover())


def _clash(first: Plugin, second: Plugin) -> tuple[str, str]:
    """The reason and the mend where two distributions bring a plugin of the same name."""
    reason = f"{first.origin} and {second.origin} both bring a plugin named {first.name!r}"
    return reason, f"uninstall one: pip uninstall {second.distribution or second.module_name}"


def _check_requirements(plugin: Plugin) -> None:
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


def _check_hooks(manager: pluggy.PluginManager, module: ModuleType) -> None:
    """Names every hook that is misspelt or that was not marked as an implementation."""
    known = [name for name, _ in inspect.getmembers(hookspecs, inspect.isfunction) if name.startswith("zoo_")]
    for name, value in list(vars(module).items()):
        marked = callable(value) and manager.parse_hookimpl_opts(module, name) is not None
        if marked and name not in known:
            raise SpecError(
                f"{module.__name__}.{name}", [f"no such hook; did you mean {_nearest(name, known)}?"]
            )
        if name in known and inspect.isfunction(value) and not marked:
            raise SpecError(f"{module.__name__}.{name}", ["is not marked with @zoo.hookimpl"])


def _nearest(name: str, known: Sequence[str]) -> str:
    return (closest(name, known) or [", ".join(known)])[0]


def _explain(plugin: Plugin, error: BaseException) -> tuple[str, str]:
    """The reason and the mend for what a plugin's import or hook raised."""
    upgrade = f"upgrade or fix {plugin.origin}, or run 'zoo plugins disable {plugin.name}'"
    if isinstance(error, PluginError):
        return error.reason, upgrade
    if isinstance(error, ModuleNotFoundError) and error.name:
        package = error.name.partition(".")[0]
        own = package == plugin.module_name.partition(".")[0]  # its own file is missing: nothing to install
        mend = upgrade if own else f"pip install {package}"
        return f"needs the module {error.name!r}, which is not installed", mend
    if isinstance(error, SystemExit):
        return f"called sys.exit({error.code!r}) while it was loaded", upgrade
    if isinstance(error, pluggy.PluginValidationError):
        return " ".join(str(error).split()), upgrade  # names the hook first, its fault in later lines
    if isinstance(error, ZooError):
        return str(error), upgrade
    return f"{type(error).__name__}: {_first_line(error)}", upgrade


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _kind(value: Any) -> str:
    return "None" if value is None else f"a {type(value).__name__}"


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr)  # noqa: T201


def iterate_weights(registry: Registry) -> Iterator[tuple[Model, WeightsSpec]]:
    """Every set of weights with its model, by name."""
    for model in registry.models.values():
        for weights in model.weights:
            yield model, weights
