"""The whole page: its own files, and the data of what is installed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata, resources
from pathlib import Path
from typing import Any

import msgspec

from zoo.catalogue.answers import Grid, answer_grid
from zoo.catalogue.entries import device_entries, model_entries
from zoo.catalogue.folder import replace_folder
from zoo.registry import Registry

INDEX = "index.html"


@dataclass(frozen=True)
class Catalogue:
    """A page as it was written: its folder, how much it shows and how large it is."""

    folder: Path
    models: int
    weights: int
    bytes: int


def build_catalogue(
    registry: Registry,
    folder: Path,
    *,
    grid: Grid | None = None,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> Catalogue:
    """Writes the page of a registry into a new folder, or over an earlier catalogue.

    Without a `grid` the page has no recommendations. `progress` is told how many of them there are so far,
    and of how many. Raises `ZooError` where the folder holds anything else or cannot be written.
    """
    replaced = replace_folder(folder)  # what stands in its way is told before the work
    entries, recipes = model_entries(registry)
    data = {
        "version": metadata.version("torch-zoo"),
        "models": entries,
        "recipes": recipes,
        "devices": device_entries(registry),
        "tasks": [
            {"name": task.name, "metric": task.metric, "unit": task.unit, "maximize": task.maximize}
            for task in registry.tasks.values()
        ],
        "answered": grid is not None,
    }
    files = _page()
    files["models.js"] = _script("catalogue", data)
    if grid is not None:
        files["answers.js"] = _script("answers", answer_grid(registry, grid, progress=progress))
    replaced(files)
    weights = sum(len(entry["weights"]) for entry in entries)
    return Catalogue(folder, len(entries), weights, sum(map(len, files.values())))


def _page() -> dict[str, bytes]:
    static = resources.files("zoo.catalogue") / "static"
    return {entry.name: entry.read_bytes() for entry in static.iterdir() if entry.is_file()}


def _script(name: str, document: Any) -> bytes:
    """A script that sets a global, since pages in files may not fetch; the document stays text until parsed.

    As an object literal, a key such as `__proto__` would have a meaning of its own.
    """
    text = msgspec.json.encode(document).decode()
    return b"window.%s = JSON.parse(%s);\n" % (name.encode(), msgspec.json.encode(text))
