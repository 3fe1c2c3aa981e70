"""Which settings a model is trained with: the plugin's recipe, a file's, single overrides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from zoo.errors import DataError, PluginError, SpecError
from zoo.manifests import read_recipe
from zoo.registry import Model
from zoo.specs import Recipe, convert, to_builtins


def resolve_recipe(
    model: Model, task: str, *, file: Path | None = None, overrides: Mapping[str, Any] | None = None
) -> Recipe:
    """The recipe for `model` at `task`: the plugin's own, or `file` in its place; then `overrides`.

    Raises `SpecError` that lists every unknown key and bad value.
    """
    settings = to_builtins(_read_file(file) if file else plugin_recipe(model, task))
    overrides = overrides or {}
    if "epochs" in overrides and "steps" not in overrides:
        settings.pop("steps", None)  # steps rule over epochs, and it is epochs that were asked for
    return convert({**settings, **overrides}, Recipe, where=f"recipe of {model.name}")


def plugin_recipe(model: Model, task: str) -> Recipe:
    """The recipe that the model's plugin names for the task, for any task, or the defaults."""
    path = model.spec.recipes.get(task) or model.spec.recipes.get("*")
    if path is None:
        return Recipe()
    try:
        return read_recipe(model.plugin.module_name, path)
    except SpecError as error:
        raise PluginError(model.plugin.name, str(error)) from None


def parse_overrides(pairs: Iterable[str]) -> dict[str, Any]:
    """`["lr=3e-4", "flip=true"]` as a dict; values are read as TOML, else taken as text."""
    return dict(_parse_pair(pair) for pair in pairs)


def _parse_pair(pair: str) -> tuple[str, Any]:
    key, equals, text = pair.partition("=")
    if not equals or not key.strip():
        raise SpecError("setting", [f"{pair!r} is not of the form key=value"])
    try:
        value = msgspec.toml.decode(f"value = {text}")["value"]
    except msgspec.DecodeError:
        value = None if text == "none" else text
    return key.strip(), value


def _read_file(path: Path) -> Recipe:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"recipe {str(path)!r} cannot be read: {error.strerror}") from None
    try:
        return convert(msgspec.toml.decode(content), Recipe, where=str(path))
    except msgspec.DecodeError as error:
        raise SpecError(str(path), [f"is not TOML: {error}"]) from None
