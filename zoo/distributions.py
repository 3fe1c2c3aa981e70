"""The installed distributions that bring plugins, read from their metadata folders.

`importlib.metadata` would do, but to import it takes a fifth of `zoo list`, and one malformed file makes
its enumeration fail as a whole. It is still asked about archives on the path and about import hooks.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.machinery import PathFinder

GROUP = "zoo"
FOLDERS = (".dist-info", ".egg-info", "EGG-INFO")
Read = Callable[[str], str | None]


@dataclass(frozen=True, kw_only=True)
class Distribution:
    """A distribution with entry points of group `zoo`, each a name and a value, as its files have them."""

    name: str
    version: str
    requires: tuple[str, ...]
    entry_points: tuple[tuple[str, str], ...]
    folder: str = ""  # of its metadata; empty where that is no folder

    @property
    def normalized(self) -> str:
        """The name as pip compares it."""
        return normalize(self.name)


def normalize(name: str) -> str:
    """A distribution's name as pip compares it: `Torch_Zoo` is `torch-zoo`."""
    return re.sub(r"[-_.]+", "-", name).lower()


def find_distributions(path: Sequence[str] | None = None) -> list[Distribution]:
    """The distributions that bring plugins; of several with one name, the first on the path counts."""
    found: dict[str, Distribution] = {}
    for folder, read in _metadata(sys.path if path is None else path):
        points = _entry_points(read("entry_points.txt") or "")
        if points:
            told = _headers(read("METADATA") or read("PKG-INFO") or "")
            made = Distribution(
                name=(told.get("name") or [""])[0],
                version=(told.get("version") or [""])[0],
                requires=tuple(told.get("requires-dist", ())),
                entry_points=tuple(points),
                folder=folder,
            )
            found.setdefault(made.normalized or folder, made)
    return list(found.values())


def _metadata(path: Sequence[str]) -> Iterator[tuple[str, Read]]:
    """The metadata folder of every distribution, with a function that reads a file in it."""
    others = []  # what only importlib.metadata can read
    for place in path:
        try:
            with os.scandir(place or ".") as entries:
                names = [entry.path for entry in entries if entry.name.endswith(FOLDERS)]
        except NotADirectoryError:
            others.append(place)
            continue
        except OSError:
            continue
        for folder in sorted(names):
            yield folder, _reader(folder)
    hooks = [finder for finder in sys.meta_path if finder is not PathFinder]
    if others or any(hasattr(finder, "find_distributions") for finder in hooks):
        yield from _foreign(others, hooks)


def _reader(folder: str) -> Read:
    def read(file: str) -> str | None:
        try:
            with open(f"{folder}/{file}", "rb") as opened:  # noqa: PTH123  (a Path for each costs milliseconds)
                return opened.read().decode("utf-8", "replace").replace("\r\n", "\n")
        except OSError:  # most distributions have no entry points
            return None

    return read


def _foreign(places: Sequence[str], hooks: Sequence[object]) -> Iterator[tuple[str, Read]]:
    from importlib import metadata

    if places:
        yield from (("", found.read_text) for found in metadata.distributions(path=list(places)))
    for hook in hooks:
        find = getattr(hook, "find_distributions", None)
        if find is not None:
            yield from (("", found.read_text) for found in find(metadata.DistributionFinder.Context()))


def _entry_points(text: str) -> list[tuple[str, str]]:
    """The names and values in the section `[zoo]`; a line that is neither has an empty value."""
    if f"[{GROUP}]" not in text:
        return []
    found, section = [], ""
    for raw in text.splitlines():
        line = raw.strip()
        if line.startswith("["):
            section = line
        elif section == f"[{GROUP}]" and line and not line.startswith("#"):
            name, _, value = line.partition("=")
            found.append((name.strip(), value.partition("[")[0].strip()))  # extras mean nothing here
    return found


def _headers(text: str) -> dict[str, list[str]]:
    """The headers that matter, up to the description, by their name in lower case."""
    found: dict[str, list[str]] = {}
    for line in text.partition("\n\n")[0].splitlines():
        name, colon, value = line.partition(":")
        if colon and (key := name.lower()) in ("name", "version", "requires-dist"):
            found.setdefault(key, []).append(value.strip())
    return found
