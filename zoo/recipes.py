"""Which settings a model is trained with: the plugin's recipe or a file's, its variants, single overrides."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from zoo.errors import DataError, PluginError, SpecError, hint
from zoo.manifests import read_recipe
from zoo.recipefile import RecipeFile, layered, parse_recipe, setting_faults
from zoo.registry import Model
from zoo.specs import Recipe, convert

# what a run may change on its way, since it leaves what was done so far as it is
RESUMABLE = (
    "lr",
    "min_lr",
    "grad_clip",
    "accumulate",
    "precision",
    "patience",
    "eval_samples",
    "eval_batch_size",
)
_WORDS = {"none": None, "None": None, "True": True, "False": False}  # which TOML does not have


def resolve_recipe(
    model: Model,
    task: str,
    *,
    samples: int | None = None,
    finetune: bool = False,
    file: Path | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> Recipe:
    """The recipe of `model` for a training on so many `samples`; None: how many is not known.

    The plugin's recipe, or `file` in its place, over the defaults; over it those of its variants that are for
    such a training, `finetune` being one that starts from weights; over these `overrides`. Raises `SpecError`
    that lists every unknown key and bad value.
    """
    found = read_recipe_file(file) if file else plugin_recipe(model, task)
    where = f"recipe of {model.name}"
    faults = setting_faults(overrides or {})
    if faults:
        raise SpecError(where, faults)
    return convert(layered(found.resolved(samples, finetune), overrides or {}), Recipe, where=where)


def plugin_recipe(model: Model, task: str) -> RecipeFile:
    """What the model's plugin brings for the task, or for any; raises `PluginError` for a bad file."""
    path = recipe_path(model, task)
    if path is None:
        return RecipeFile()
    try:
        return read_recipe(model.plugin.module_name, path)
    except SpecError as error:
        raise PluginError(model.plugin.name, str(error)) from None


def recipe_path(model: Model, task: str) -> str | None:
    """Where in the plugin's package that file is."""
    return model.spec.recipes.get(task) or model.spec.recipes.get("*")


def read_recipe_file(path: Path) -> RecipeFile:
    """The recipe in a TOML file; raises `DataError` where it cannot be read, `SpecError` with every fault."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"recipe {str(path)!r} cannot be read: {error.strerror}") from None
    try:
        document = msgspec.toml.decode(content)
    except (ValueError, RecursionError) as error:
        raise SpecError(str(path), [f"is not TOML: {error}"]) from None
    return parse_recipe(document, str(path))


def choose_task(model: Model, task: str | None) -> str:
    """The task to show a recipe for; it need not be named where the model has the same one for all of its."""
    tasks = model.spec.tasks
    if task is None and len({recipe_path(model, each) for each in tasks}) > 1:
        raise SpecError(model.name, [f"has a recipe for each task; say which: --task {' or '.join(tasks)}"])
    if task is not None and task not in tasks:
        raise SpecError(model.name, [f"does not do {task!r}; its tasks: {', '.join(tasks)}"])
    return task or tasks[0]


def misfits(model: Model, found: RecipeFile) -> list[str]:
    """What a recipe, sound in itself, asks of the model that it does not have."""
    names = _builder_options(model)

    def check(settings: dict[str, Any]) -> Iterator[str]:
        if settings.get("head_epochs") and not model.spec.head:
            yield "head_epochs: the model declares no head; leave the setting out"
        for name in settings.get("options", {}):
            if names is not None and name not in names:
                meant = hint(name, names, f"it has: {', '.join(names) or 'none'}")
                yield f"options.{name}: {model.name} has no such option; {meant}"

    return found.faults(check)


def _builder_options(model: Model) -> list[str] | None:
    """What the builder may be told, as its source says, since to import it would import torch.

    None where the source does not say.
    """
    import ast  # slow to import, as is importlib.abc
    import importlib.util
    from importlib.abc import SourceLoader

    module, _, name = model.spec.builder.partition(":")
    package, *inner = module.split(".")
    try:
        spec = importlib.util.find_spec(package)
        if spec is None or spec.origin is None or not isinstance(spec.loader, SourceLoader):
            return None
        path = Path(spec.origin).parent.joinpath(*inner).with_suffix(".py") if inner else spec.origin
        tree = ast.parse(spec.loader.get_data(str(path)))
    except (ImportError, OSError, SyntaxError, ValueError):
        return None
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == name and node.args.kwarg is None:
            return [argument.arg for argument in (*node.args.args[1:], *node.args.kwonlyargs)]
    return None


def takes_largest_batch(overrides: Mapping[str, Any] | None) -> tuple[dict[str, Any], bool]:
    """The overrides, and whether `batch_size = "auto"` was one: the largest that fits, once that is known."""
    chosen = dict(overrides or {})
    auto = chosen.get("batch_size") == "auto"
    if auto:
        del chosen["batch_size"]
    return chosen, auto


def parse_settings(pairs: Iterable[str]) -> dict[str, Any]:
    """Settings of a recipe as `-o` takes them; raises `SpecError` with all that is wrong with any of them."""
    settings, faults = _parse_pairs(pairs)
    faults += setting_faults(takes_largest_batch(settings)[0])
    if faults:
        raise SpecError("-o", faults)
    return settings


def parse_overrides(pairs: Iterable[str]) -> dict[str, Any]:
    """`["lr=3e-4", "flip=true"]` as a dict; values are read as TOML, else taken as text."""
    settings, faults = _parse_pairs(pairs)
    if faults:
        raise SpecError("setting", faults)
    return settings


def _parse_pairs(pairs: Iterable[str]) -> tuple[dict[str, Any], list[str]]:
    settings: dict[str, Any] = {}
    faults: list[str] = []
    for pair in pairs:
        name, equals, text = pair.partition("=")
        key = name.strip()
        if not equals or not key:
            faults.append(f"{pair!r} is not of the form key=value")
        elif key in settings:
            faults.append(f"{key} is given twice; leave out one")
        else:
            settings[key] = _parse_value(text.strip())
    return settings, list(dict.fromkeys(faults))


def _parse_value(text: str) -> Any:
    if text in _WORDS:
        return _WORDS[text]
    try:
        document = msgspec.toml.decode(f"value = {text}")
    except ValueError:
        return text
    return document["value"] if len(document) == 1 else text
