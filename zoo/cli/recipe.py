"""`zoo recipe`: the settings that a model is trained with, to see, to change and to check."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo import recipes
from zoo.cli.completion import model_names
from zoo.cli.output import json_option, print_json
from zoo.errors import SpecError, ZooError
from zoo.paths import told_of_new, write_new
from zoo.recipefile import RecipeFile
from zoo.recipetext import to_toml
from zoo.registry import installed
from zoo.specs import Recipe, as_dict, to_builtins

if TYPE_CHECKING:
    from zoo.registry import Model

COMMON = ("adamw", "adadelta", "adafactor", "adam", "lamb", "lion", "muon", "nadamw", "rmsprop", "sgd")

task_option = click.option("--task", help="The task, where the model has a recipe for each.")


@click.group()
def recipe() -> None:
    """See, copy and check recipes: the settings that models are trained with."""


@recipe.command()
@click.argument("model", shell_complete=model_names)
@task_option
@click.option("--data", metavar="DATA", help="As for a training on it: the variant for its size.")
@click.option("--samples", type=click.IntRange(min=1), help="As for a training on so many samples.")
@click.option("--finetune", is_flag=True, help="As for a training that starts from weights.")
@click.option("--full", is_flag=True, help="Show all settings, with a line on each.")
@json_option
def show(
    model: str,
    task: str | None,
    data: str | None,
    samples: int | None,
    finetune: bool,
    full: bool,
    as_json: bool,
) -> None:
    """Show what MODEL is trained with: what differs from the defaults, and the variants.

    With DATA, a number of samples or a tag of MODEL the variants are resolved: what is shown is what such a
    training takes.
    """
    if data is not None and samples is not None:
        raise click.UsageError("give either --data or --samples")
    entry, tagged = installed().model(model)
    if data is not None:
        from zoo.api import problem_of

        problem = problem_of(installed(), data)
        task, samples = task or problem.task, problem.samples
    elif tagged is not None and tagged.problem is not None:
        task = task or tagged.problem.task
    task = recipes.choose_task(entry, task)
    found = recipes.plugin_recipe(entry, task)
    finetune = finetune or tagged is not None
    if as_json:
        print_json(_document(entry, task, found, samples, finetune=finetune, full=full))
        return
    resolved = samples is not None or finetune
    settings = found.resolved(samples, finetune)
    click.echo(_heading(entry, task, found, samples, finetune=finetune))
    variants = () if resolved else found.variants
    click.echo(to_toml(settings, variants, defaults="written" if full else "left out"), nl=False)


@recipe.command()
@click.argument("model", shell_complete=model_names)
@click.argument("file", type=click.Path(path_type=Path))
@task_option
def copy(model: str, file: Path, task: str | None) -> None:
    """Write the recipe of MODEL to FILE, to be changed and given to `zoo train --recipe`.

    The settings that it leaves at their defaults are there as comments.
    """
    entry, _ = installed().model(model)
    task = recipes.choose_task(entry, task)
    found = recipes.plugin_recipe(entry, task)
    text = to_toml(found.settings, found.variants, defaults="commented out")
    with told_of_new(file, another="file"):
        write_new(file, f"{_heading(entry, task, found)}\n{text}".encode())
    click.echo(f"{file}: train with zoo train {entry.name} --data DATA --recipe {file}")


@recipe.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE...")
@click.option("--model", shell_complete=model_names, help="Check that they suit this model too.")
@json_option
def validate(files: tuple[Path, ...], model: str | None, as_json: bool) -> None:
    """Check recipe files: unknown settings, bad values, variants. Exit status 1 where one has faults."""
    entry = installed().model(model)[0] if model else None
    told = {str(path): _faults(path, entry) for path in files}
    if as_json:
        found = [{"file": path, "valid": not faults, "faults": faults} for path, faults in told.items()]
        print_json({"schema": 1, "files": found})
    else:
        for path, faults in told.items():
            click.echo("\n".join(f"{path}: {fault}" for fault in faults or ["valid"]))
    if any(told.values()):
        sys.exit(1)


def _faults(path: Path, model: Model | None) -> list[str]:
    """Everything that is wrong with a recipe file."""
    try:
        found = recipes.read_recipe_file(path)
    except SpecError as error:
        return list(error.faults)
    except ZooError as error:
        return [str(error)]
    return [*(recipes.misfits(model, found) if model else ()), *found.faults(_optimizer_faults)]


def _optimizer_faults(settings: Mapping[str, Any]) -> list[str]:
    """Torch is imported, which takes seconds, only to ask for an optimizer that few use."""
    if settings.get("optimizer") in (None, *COMMON):
        return []
    from zoo.training.optimizers import optimizer_faults

    return optimizer_faults(settings["optimizer"])


def _document(
    model: Model, task: str, found: RecipeFile, samples: int | None, *, finetune: bool, full: bool
) -> dict[str, Any]:
    """A recipe as `zoo recipe show --json` has it."""
    settings = found.resolved(samples, finetune)
    applying = found.applying(samples, finetune)
    return {
        "schema": 1,
        "model": model.name,
        "task": task,
        "file": recipes.recipe_path(model, task),
        "samples": samples,
        "finetune": finetune,
        "recipe": to_builtins({**as_dict(Recipe()), **settings} if full else settings),
        "variants": [
            {**variant.conditions, "settings": variant.settings, "applies": number in applying}
            for number, variant in enumerate(found.variants, start=1)
        ],
    }


def _heading(
    model: Model, task: str, found: RecipeFile, samples: int | None = None, *, finetune: bool = False
) -> str:
    """Whose recipe it is, and for which training, as comments."""
    about = [model.name, task]
    about += [f"{samples:,} training samples"] if samples is not None else []
    about += ["from weights"] if finetune else []
    path = recipes.recipe_path(model, task)
    origin = f"{path} of {model.plugin.origin}" if path else "the defaults: the plugin names no recipe"
    numbers = found.applying(samples, finetune)
    variants = f"; variant {' with '.join(map(str, numbers))}" if numbers else ""
    return f"# {', '.join(about)}\n# {origin}{variants}"
