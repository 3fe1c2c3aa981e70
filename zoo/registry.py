"""Which plugins are installed, which of them work, and what they bring.

Entry points are enumerated here and plugins registered one at a time: pluggy's own loader lets
one bad plugin take everything down and skips duplicates in silence. What makes a plugin unusable
sets that plugin aside, with a reason and a mend, and nothing else. What is only bad manners, such as
printing when it is loaded, is contained and remarked on.
"""

from __future__ import annotations

import importlib
import inspect
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import cache, cached_property
from typing import Any, TypeVar

import pluggy

from zoo import hookspecs, licenses, settings
from zoo.containment import Containment
from zoo.errors import (
    PluginError,
    UnknownNameError,
    WeightsError,
    ZooError,
    closest,
    describe_error,
    first_line,
    unknown,
)
from zoo.plugins import Plugin, discover, unknown_selection
from zoo.quarantine import (
    check_entry_point,
    check_hooks,
    check_requirements,
    explain,
    explain_clash,
    install_hint,
    kind_of,
)
from zoo.specs import (
    DatasetSpec,
    DeviceSpec,
    Evidence,
    ModelSpec,
    TaskSpec,
    WeightsSpec,
    split_name,
)

__all__ = ["Model", "Plugin", "Registry", "discover", "installed", "iterate_weights"]

R = TypeVar("R")
CORE = "zoo.core"
SLOW_SECONDS = 1.0
TOOK = "took"  # how a remark on that begins


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


def _commercial(model: Model) -> Model | None:
    """The model with those of its weights that may be used commercially; None where it may not be itself."""
    if not licenses.commercial(model.spec.license):
        return None
    allowed = (found for found in model.weights if licenses.commercial(*licenses.applying(found)))
    return replace(model, weights=tuple(allowed))


class Registry:
    """Everything that the installed plugins bring, by name."""

    def __init__(
        self,
        plugins: Sequence[Plugin],
        *,
        report: Callable[[str], None] | None = None,
        strict: bool | None = None,
    ) -> None:
        """Loads the plugins; `strict` (by default `ZOO_STRICT=1`) raises where one would be set aside."""
        self.plugins: dict[str, Plugin] = {}
        self._manager = pluggy.PluginManager("zoo")
        self._manager.add_hookspecs(hookspecs)
        self._report = report or _to_stderr
        self._strict = settings.strict() if strict is None else strict
        self._told: dict[str, int] = {}  # how many of a plugin's remarks have been reported
        core = Plugin(CORE, CORE, distribution="torch-zoo", module=importlib.import_module(CORE))
        self._core = core
        self._manager.register(core.module, name=CORE)
        for plugin in plugins:
            first = self.plugins.setdefault(plugin.name, plugin)
            if first is not plugin and first.active:
                self._quarantine(first, *explain_clash(first, plugin))
        contained = Containment()
        for plugin in self.plugins.values():
            if plugin.active:
                with self._guarded(plugin, contained):
                    self._load(plugin)

    # -- plugins --

    def _load(self, plugin: Plugin) -> None:
        check_entry_point(plugin)
        check_requirements(plugin)
        plugin.module = importlib.import_module(plugin.module_name)
        check_hooks(self._manager, plugin.module)
        self._manager.register(plugin.module, name=plugin.name)

    @contextmanager
    def _guarded(self, plugin: Plugin, contained: Containment, *, torch_free: bool = True) -> Iterator[None]:
        """Around a plugin's code: what it raises sets it aside, what it does besides is remarked on."""
        started = time.perf_counter()
        try:
            with contained.running(plugin.remarks, plugin.package if torch_free else ""):
                yield
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # SystemExit too: a plugin must not end the process
            self._quarantine(plugin, *explain(plugin, error))
        plugin.load_seconds += time.perf_counter() - started
        if plugin.load_seconds > SLOW_SECONDS and not any(map(_is_of_time, plugin.remarks)):
            plugin.remarks.append(
                f"{TOOK} {plugin.load_seconds:.1f} s to load, for which every command waits"
            )
        if len(plugin.remarks) > self._told.get(plugin.name, 0):
            self._tell(plugin)

    def remark(self, plugin: Plugin, remark: str) -> None:
        """Notes what is not right with a plugin that works."""
        if remark not in plugin.remarks:
            plugin.remarks.append(remark)
            self._tell(plugin)

    def _tell(self, plugin: Plugin) -> None:
        told = self._told.get(plugin.name, 0)
        self._told[plugin.name] = len(plugin.remarks)
        if plugin.active:  # of one that is set aside, the reason is enough
            remarks = "; ".join(plugin.remarks[told:])
            self._report(f"zoo: plugin {plugin.name!r} ({plugin.origin}): {remarks}; see 'zoo plugins'")

    def _quarantine(self, plugin: Plugin, reason: str, mend: str) -> None:
        if self._strict:
            raise PluginError(plugin.name, reason)
        plugin.state, plugin.reason, plugin.mend = "quarantined", reason, mend
        if self._manager.has_plugin(plugin.name):
            self._manager.unregister(name=plugin.name)
        if known := vars(self).get("models"):  # a later hook may fail after the models were listed
            vars(self)["models"] = {name: model for name, model in known.items() if model.plugin.active}
        self._report(f"zoo: plugin {plugin.name!r} ({plugin.origin}) set aside: {reason}; see 'zoo plugins'")

    def _collect(self, hook: str, type: type[R], **arguments: Any) -> list[tuple[Plugin, R]]:
        """What every plugin returns from `hook`, core first; a plugin that fails is set aside."""
        found = [(self._core, record) for record in self._call(self._core, hook, type, **arguments)]
        contained = Containment()
        for plugin in self.plugins.values():
            if plugin.active and hasattr(plugin.module, hook):
                with self._guarded(plugin, contained, torch_free=hook != "zoo_callbacks"):
                    found += [(plugin, record) for record in self._call(plugin, hook, type, **arguments)]
        return found

    def _call(self, plugin: Plugin, hook: str, type: type[R], **arguments: Any) -> list[R]:
        implementation = getattr(plugin.module, hook, None)
        if implementation is None:
            return []
        if arguments:  # a hook may leave out what it does not use
            taken = inspect.signature(implementation).parameters
            arguments = {name: value for name, value in arguments.items() if name in taken}
        result = implementation(**arguments)
        if isinstance(result, str) or not isinstance(result, Iterable):
            raise PluginError(plugin.name, f"{hook} returned {kind_of(result)}, not an iterable")
        records = list(result)
        for record in records:
            if not isinstance(record, type):
                raise PluginError(
                    plugin.name, f"{hook} returned {kind_of(record)} where {type.__name__} was expected"
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
        for _, record in self._weights:
            weights.setdefault(record.model, []).append(record)
        models = {
            f"{plugin.name}/{spec.name}": Model(
                spec, plugin, tuple(weights.get(f"{plugin.name}/{spec.name}", ()))
            )
            for plugin, spec in specs
            if plugin.active  # its weights may have had it set aside
        }
        return dict(sorted(models.items()))

    @cached_property
    def _weights(self) -> list[tuple[Plugin, WeightsSpec]]:
        return self._unique("zoo_weights", WeightsSpec, lambda _, spec: spec.name)

    def call_hooks(self) -> None:
        """All hooks but `zoo_callbacks`, which needs a run; what they do wrong sets their plugin aside."""
        for name in ("models", "tasks", "datasets", "devices", "evidence", "commands"):
            getattr(self, name)

    @property
    def weights(self) -> list[WeightsSpec]:
        """Every set of weights, for models that are installed and for others."""
        return [spec for _, spec in self._weights]

    def weights_of(self, plugin: Plugin) -> list[WeightsSpec]:
        """The weights that a plugin brings, for models that are installed and for others."""
        return [spec for owner, spec in self._weights if owner is plugin]

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

    def tagged(self, name: str) -> tuple[Model, WeightsSpec]:
        """As `model`, for a name that must have a tag; raises `WeightsError` for one without."""
        model, spec = self.model(name)
        if spec is None:
            tags = ", ".join(found.tag for found in model.weights) or "none"
            raise WeightsError(f"{name!r} names no weights; say {model.name}.TAG (tags: {tags})")
        return model, spec

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
        commercial: bool = False,
        pretrained: bool | None = None,
        max_parameters: int | None = None,
    ) -> list[Model]:
        """The models that pass every filter, by name; `pattern` is a glob over names, or a group of models.

        With `license`, a model is kept when it or one of its weights has it; with `commercial`, only models
        and weights whose licences permit commercial use.
        """
        if task is not None:
            self.task(task)

        def keep(entry: Model) -> bool:
            spec = entry.spec
            names = {spec.license.lower(), *(weights.license.lower() for weights in entry.weights)}
            size = spec.facts.parameters if spec.facts else None
            return (
                _matches(entry, pattern)
                and (task is None or task in spec.tasks)
                and (family is None or family == spec.family)
                and (plugin is None or plugin == entry.plugin.name)
                and (license is None or license.lower() in names)
                and (pretrained is None or pretrained == bool(entry.weights))
                and (max_parameters is None or (size is not None and size <= max_parameters))
            )

        entries: Iterable[Model] = self.models.values()
        if commercial:
            entries = filter(None, map(_commercial, entries))
        return [entry for entry in entries if keep(entry)]

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

    def tasks_of(self, plugin: Plugin) -> list[TaskSpec]:
        """The tasks that a plugin brings."""
        return [spec for owner, spec in self._tasks.values() if owner is plugin]

    def datasets_of(self, plugin: Plugin) -> list[DatasetSpec]:
        """The data sets that a plugin brings."""
        return [spec for owner, spec in self._datasets.values() if owner is plugin]

    def task(self, name: str) -> TaskSpec:
        """The task of that name; raises `UnknownNameError`."""
        self.check_tasks()
        if name not in self.tasks:
            raise unknown("task", name, list(self.tasks))
        return self.tasks[name]

    def check_tasks(self) -> None:
        """Remarks on the plugins whose models name a task that no plugin brings."""
        for model in self.models.values():
            for fault in self.task_faults(model):
                self.remark(model.plugin, fault)

    def task_faults(self, model: Model) -> list[str]:
        """A line for each of the model's tasks that no plugin brings."""
        faults = []
        for task in model.spec.tasks:
            if task not in self.tasks:
                close = closest(task, self.tasks)
                hint = f"; did you mean {close[0]}?" if close else ""
                faults.append(f"{model.name} names a task {task!r}, which no plugin brings{hint}")
        return faults

    def task_implementation(self, name: str) -> Any:
        """The `zoo.tasks.base.Task` of that name; raises `UnknownNameError` or `PluginError`."""
        spec = self.task(name)
        return self.resolve(self._tasks[name][0], spec.implementation)

    def dataset_loader(self, name: str) -> Callable[[], Any]:
        """The function that makes the data set of that name; raises `UnknownNameError` or `PluginError`.

        What the function itself raises is told with the plugin's name.
        """
        if name not in self._datasets:
            raise unknown("dataset", name, list(self._datasets))
        plugin, spec = self._datasets[name]
        loader = self.resolve(plugin, spec.loader)

        def load() -> Any:
            try:
                return loader()
            except (ZooError, KeyboardInterrupt):
                raise
            except BaseException as error:
                reason = f"loading the data set {name!r} failed: {describe_error(error)}"
                raise PluginError(plugin.name, reason) from error

        return load

    def resolve(self, plugin: Plugin, target: str) -> Any:
        """The object that `"package.module:name"` names; a failure is told with the plugin's name."""
        module, _, attribute = target.partition(":")
        try:
            with Containment(libraries=True).running(plugin.remarks):
                return getattr(importlib.import_module(module), attribute)
        except (ZooError, KeyboardInterrupt):
            raise
        except BaseException as error:
            reason = f"{target!r} cannot be imported: {first_line(error)}{install_hint(plugin, error)}"
            raise PluginError(plugin.name, reason) from error
        finally:
            if len(plugin.remarks) > self._told.get(plugin.name, 0):
                self._tell(plugin)

    # -- commands --

    @cached_property
    def commands(self) -> dict[str, tuple[Plugin, Any]]:
        """Every plugin's `click.Command` by its name, with the plugin."""
        from click import Command

        found = self._unique("zoo_commands", Command, lambda _, command: str(command.name))
        return {str(command.name): (plugin, command) for plugin, command in found}


@cache
def installed() -> Registry:
    """The registry of this process's installed plugins."""
    plugins = discover()
    for fault in unknown_selection(plugins):
        if settings.strict():
            raise fault
        _to_stderr(f"zoo: {fault}")
    return Registry(plugins)


def _is_of_time(remark: str) -> bool:
    return remark.startswith(TOOK)


def _to_stderr(line: str) -> None:
    if not settings.quiet():
        print(line, file=sys.stderr)  # noqa: T201


def _matches(model: Model, pattern: str) -> bool:
    """Whether the pattern is a glob over its full or bare name, or the name of its group, as it stands."""
    spec = model.spec
    return (
        fnmatchcase(model.name, pattern)
        or fnmatchcase(spec.name, pattern)
        or (spec.group is not None and pattern in (spec.group, f"{model.plugin.name}/{spec.group}"))
    )


def iterate_weights(registry: Registry) -> Iterator[tuple[Model, WeightsSpec]]:
    """Every set of weights with its model, by name."""
    for model in registry.models.values():
        for weights in model.weights:
            yield model, weights
