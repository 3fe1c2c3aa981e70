"""`zoo.lock`: which plugins, weights and recipes a result was made with, so that others have the same.

The file is TOML, sorted, and says nothing of the machine: distributions with their versions, and the sha256
of every recipe and of all weights whose file is at hand (it comes with a package, or has been fetched).
"""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec

import zoo
from zoo.distributions import Distribution, find_distributions, normalize
from zoo.environment import CORE, run_pip
from zoo.errors import WeightsError, ZooError
from zoo.registry import Registry, iterate_weights
from zoo.specs import Record, Sha256, convert
from zoo.weights.sources import fetch_weights, find_local
from zoo.weights.sources import sha256 as sha256_of_file

FILE = Path("zoo.lock")
HEADER = "# Made by `zoo lock`, read by `zoo sync`: not to be edited by hand.\n"


class LockedDistribution(Record, frozen=True, kw_only=True):
    """A distribution that brings plugins; `url` where it does not come from an index."""

    name: str
    version: str
    plugins: tuple[str, ...] = ()
    url: str = ""

    @property
    def requirement(self) -> str:
        """What pip is asked for."""
        return f"{self.name} @ {self.url}" if self.url else f"{self.name}=={self.version}"


class LockedFile(Record, frozen=True, kw_only=True):
    """Weights or a recipe by name, and what their file must hold."""

    name: str
    sha256: Sha256


class Lock(Record, frozen=True, kw_only=True):
    """All that `zoo.lock` says; `core` is the version of torch-zoo."""

    schema: int = 1
    core: str
    distribution: tuple[LockedDistribution, ...] = ()
    weights: tuple[LockedFile, ...] = ()
    recipe: tuple[LockedFile, ...] = ()


class Difference(Record, frozen=True, kw_only=True):
    """What is locked and what is here, either of which may be nothing; `mend` says what makes them one."""

    kind: str
    name: str
    locked: str
    here: str
    mend: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}: locked {self.locked or 'none'}, here {self.here or 'none'}"


# -- the file ---------------------------------------------------------------------------------


def lock_distributions() -> tuple[LockedDistribution, ...]:
    """The installed distributions that bring plugins, whatever the plugins' state; imports none."""
    found = [
        LockedDistribution(
            name=normalize(distribution.name),
            version=distribution.version,
            plugins=tuple(sorted(name for name, _ in distribution.entry_points)),
            url=_origin(distribution),
        )
        for distribution in find_distributions()
    ]
    return tuple(sorted(found, key=lambda distribution: distribution.name))


def take_lock(registry: Registry) -> Lock:
    """The lock of this environment; of plugins that are set aside or put off, the distribution alone."""
    return Lock(
        core=zoo.__version__,
        distribution=lock_distributions(),
        weights=_files(_weights(registry)),
        recipe=_files(_recipes(registry)),
    )


def read_lock(path: Path) -> Lock:
    """The lock in a file; raises `ZooError` where there is none, or none that can be read."""
    try:
        document = msgspec.toml.decode(path.read_bytes())
    except FileNotFoundError:
        raise ZooError(f"{str(path)!r} does not exist; write it with: zoo lock") from None
    except (OSError, ValueError) as error:
        raise ZooError(f"{str(path)!r} cannot be read: {error}") from None
    if isinstance(document, dict) and document.get("schema", 1) != 1:
        raise ZooError(f"{str(path)!r} is of schema {document['schema']!r}, this zoo reads 1; upgrade {CORE}")
    return convert(document, Lock, where=str(path))


def write_lock(path: Path, lock: Lock) -> None:
    """Writes the lock; raises `ZooError` where that is not possible."""
    document = {"schema": lock.schema, **msgspec.to_builtins(lock)}
    try:
        path.write_bytes(HEADER.encode() + msgspec.toml.encode(document))
    except OSError as error:
        raise ZooError(f"{str(path)!r} cannot be written: {error.strerror}") from None


# -- comparing and mending --------------------------------------------------------------------


def compare_distributions(lock: Lock, *, exact: bool = True) -> list[Difference]:
    """How the installed distributions differ; those that are not locked count where it is to be `exact`."""
    found = []
    if lock.core != zoo.__version__:
        found.append(
            _difference("core", CORE, lock.core, zoo.__version__, f"pip install {CORE}=={lock.core}")
        )
    locked = {entry.name: entry for entry in lock.distribution}
    here = {entry.name: entry for entry in lock_distributions()}
    for name in sorted(locked.keys() | (here.keys() if exact else set())):
        wanted, given = locked.get(name), here.get(name)
        mend = f"pip install '{wanted.requirement}'" if wanted else f"pip uninstall {name}"
        found.append(_difference("plugin", name, _version(wanted), _version(given), mend))
    return [difference for difference in found if difference.locked != difference.here]


def compare_contents(lock: Lock, now: Lock) -> list[Difference]:
    """How weights and recipes differ; `now` is this environment's lock."""
    found = []
    for kind in ("weights", "recipe"):
        locked, here = ({entry.name: entry.sha256 for entry in getattr(each, kind)} for each in (lock, now))
        for name, digest in locked.items():
            absent = kind == "weights" and name not in here
            mend = "zoo sync fetches them" if absent else "zoo cannot mend it: the plugin brings another file"
            found.append(_difference(kind, name, digest[:12], here.get(name, "")[:12], mend))
        if kind == "recipe":
            new = sorted(here.keys() - locked.keys())
            found += [_difference(kind, name, "", here[name][:12], "zoo lock --update") for name in new]
    return [difference for difference in found if difference.locked != difference.here]


def describe_changes(old: Lock, new: Lock) -> list[str]:
    """A line for each entry that two locks do not share."""
    lines = [] if old.core == new.core else [f"core {CORE}: {old.core} -> {new.core}"]
    for kind in ("distribution", "weights", "recipe"):
        was, will = ({entry.name: entry for entry in getattr(lock, kind)} for lock in (old, new))
        for name in sorted(was.keys() | will.keys()):
            if was.get(name) != will.get(name):
                lines.append(f"{kind} {name}: {_short(was.get(name))} -> {_short(will.get(name))}")
    return lines


def install_locked(lock: Lock, differences: list[Difference]) -> None:
    """Has pip make the distributions those that are locked; raises `ZooError` with pip's last error."""
    locked = {entry.name: entry.requirement for entry in lock.distribution}
    locked[CORE] = f"{CORE}=={lock.core}"
    wanted = [locked[difference.name] for difference in differences if difference.locked]
    extra = [difference.name for difference in differences if not difference.locked]
    if wanted:
        run_pip("install", *wanted)
    if extra:
        run_pip("uninstall", "--yes", *extra)


def fetch_locked(registry: Registry, differences: list[Difference]) -> list[str]:
    """Fetches the weights that are locked and not here; a line for each that cannot be had."""
    missing = {entry.name for entry in differences if entry.kind == "weights" and not entry.here}
    faults = []
    for _, spec in iterate_weights(registry):
        if spec.name in missing:
            try:
                fetch_weights(spec)
            except WeightsError as error:
                faults.append(str(error))
    return faults


# -- what is here -----------------------------------------------------------------------------


def _weights(registry: Registry) -> Iterator[tuple[str, str]]:
    for _, spec in iterate_weights(registry):
        path = find_local(spec)
        if path is not None:
            yield spec.name, sha256_of_file(path)


def _recipes(registry: Registry) -> Iterator[tuple[str, str]]:
    for model in registry.models.values():
        for file in model.spec.recipes.values():
            try:
                content = pkgutil.get_data(model.plugin.module_name, file)
            except OSError:
                content = None
            if content is None:
                registry.remark(model.plugin, f"has no recipe {file!r}, which {model.name} names")
            else:
                yield f"{model.plugin.name}/{file}", sha256(content).hexdigest()


def _files(found: Iterator[tuple[str, str]]) -> tuple[LockedFile, ...]:
    return tuple(LockedFile(name=name, sha256=digest) for name, digest in sorted(set(found)))


def _origin(distribution: Distribution) -> str:
    """The URL of the repository or archive that pip took it from; a folder says nothing to others."""
    try:
        told: dict[str, Any] = msgspec.json.decode(Path(distribution.folder, "direct_url.json").read_bytes())
    except (OSError, msgspec.DecodeError):
        return ""
    url, versioned = str(told.get("url", "")), told.get("vcs_info")
    if isinstance(versioned, Mapping):
        return f"{versioned.get('vcs', 'git')}+{url}@{versioned.get('commit_id', '')}"
    return url if url.startswith(("http://", "https://")) else ""


def _difference(kind: str, name: str, locked: str, here: str, mend: str) -> Difference:
    return Difference(kind=kind, name=name, locked=locked, here=here, mend=mend)


def _version(entry: LockedDistribution | None) -> str:
    return "" if entry is None else entry.url or entry.version


def _short(entry: Any) -> str:
    if entry is None:
        return "none"
    return entry.sha256[:12] if isinstance(entry, LockedFile) else _version(entry)
