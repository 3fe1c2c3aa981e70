"""The installed plugins, told from their distributions' metadata: nothing of them is imported here."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import ModuleType

from zoo import settings
from zoo.distributions import find_distributions
from zoo.errors import UnknownNameError, unknown


@dataclass
class Plugin:
    """One installed plugin: where it comes from and whether it works.

    `state` is `active`, `quarantined` (with `reason` and `mend`) or `disabled`. `load_seconds` is what its
    import and its hooks took. `remarks` tell what it does that a plugin should not, and that was contained.
    """

    name: str
    module_name: str
    distribution: str = ""
    version: str = ""
    state: str = "active"
    reason: str = ""
    mend: str = ""
    load_seconds: float = 0.0
    remarks: list[str] = field(default_factory=list)
    module: ModuleType | None = field(default=None, repr=False)
    package_requirements: tuple[str, ...] = field(default=(), repr=False)

    @property
    def active(self) -> bool:
        """Whether its models can be used."""
        return self.state == "active"

    @property
    def package(self) -> str:
        """The outermost package that its module is in."""
        return self.module_name.partition(".")[0]

    @property
    def origin(self) -> str:
        """The distribution and version, as an error message names them."""
        return f"{self.distribution} {self.version}".strip() or self.module_name


def discover() -> list[Plugin]:
    """The installed plugins, by entry point name; those left out by `ZOO_PLUGINS` or disabled say so.

    Nothing is imported. Two distributions may bring the same name: both are here, and the registry sets
    that name aside.
    """
    selected, disabled = settings.selected_plugins(), settings.disabled_plugins()
    plugins = [
        Plugin(
            name,
            module,
            distribution=distribution.name,
            version=distribution.version,
            package_requirements=distribution.requires,
        )
        for distribution in find_distributions()
        for name, module in distribution.entry_points
    ]
    for plugin in plugins:
        if selected is not None and plugin.name not in selected:
            plugin.state = "disabled"
            plugin.reason = f"ZOO_PLUGINS={os.environ['ZOO_PLUGINS']} leaves it out"
            plugin.mend = f"unset ZOO_PLUGINS, or add {plugin.name} to it"
        elif plugin.name in disabled:
            plugin.state, plugin.reason = "disabled", "put off by 'zoo plugins disable'"
            plugin.mend = f"run 'zoo plugins enable {plugin.name}'"
    return sorted(plugins, key=lambda plugin: (plugin.name, plugin.module_name))


def unknown_selection(plugins: Sequence[Plugin]) -> list[UnknownNameError]:
    """A fault for each name in `ZOO_PLUGINS` that no installed plugin has."""
    known = sorted({plugin.name for plugin in plugins})
    names = sorted((settings.selected_plugins() or frozenset()) - {"", *known})
    faults = [(name, unknown("plugin", name, known)) for name in names]
    return [UnknownNameError(f"ZOO_PLUGINS: {fault}", close=fault.close) for _, fault in faults]
