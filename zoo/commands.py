"""Commands as a user would type them, made from what a run recorded."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from zoo.runs import RunRecord
from zoo.specs import Classes, ImageInput, Recipe, as_dict, to_builtins

READING = ("columns", "task", "group_by", "strict", "history", "horizon")  # what a command can say of it
NAMELESS = ("run", "custom")  # tags of weights that came from a run folder or a file, whose place is not kept
LARGE = 64  # pixels a side from which images are a load to fetch


def reading_options(options: Mapping[str, Any]) -> list[str]:
    """How data was read, by the arguments of `load_dataset`, as options of a command."""
    words: list[str] = []
    for name in READING:
        value, option = options.get(name), f"--{name.replace('_', '-')}"
        if value is True:
            words.append(option)
        elif value and name == "columns":
            pairs = [f"{role}={column}" for role, found in value.items() for column in _listed(found)]
            words += [option, ",".join(pairs)]
        elif value:
            words += [option, str(value)]
    return words


def _listed(found: Any) -> list[str]:
    return [found] if isinstance(found, str) else list(found)


class Commands:
    """Commands that repeat a run, but for some settings; what `own`, the model's recipe, says is left out."""

    def __init__(self, record: RunRecord, own: Recipe) -> None:
        self._record, self._own = record, own

    def train(self, **changes: Any) -> str:
        """The same training, but for `changes` to its recipe."""
        record, own = self._record, as_dict(self._own)
        words = ["zoo", "train", record.model, *self._data()]
        if record.weights:
            tag = record.weights.rpartition(".")[2]
            words += ["--weights", "WEIGHTS" if tag in NAMELESS else tag]
        for name, value in record.options.items():
            if own["options"].get(name) != value:
                words += ["--option", f"{name}={_toml(value)}"]
        for name, value in {**self._kept(), **changes}.items():
            words += ["-o", f"{name}={_toml(value)}"]
        return shlex.join(words)

    def recommend(self, objective: str) -> str:
        """Other models for the same data."""
        told = self._data("columns", "task", "horizon")
        return shlex.join(["zoo", "recommend", *told, "--objective", objective])

    def resume(self, run: Path) -> str:
        """The rest of the training."""
        return shlex.join(["zoo", "train", "--resume", str(run)])

    def inspect(self) -> str:
        """A look at the data alone."""
        return shlex.join(["zoo", "data", "inspect", *self._data()[1:]])

    def longer(self, times: int) -> str:
        """So many times the training."""
        recipe = self._record.recipe
        if recipe.steps:
            return self.train(steps=times * recipe.steps)
        return self.train(epochs=times * recipe.epochs)

    def regularised(self) -> str:
        """More of what keeps a model from learning by heart, of what it has least."""
        recipe, problem = self._record.recipe, self._record.problem
        changes: dict[str, Any] = {"weight_decay": min(0.5, 5 * recipe.weight_decay) or 0.05}
        if isinstance(problem.output, Classes) and not recipe.label_smoothing:
            changes["label_smoothing"] = 0.1
        if isinstance(problem.input, ImageInput):
            if recipe.affine is None:
                changes["affine"] = (10, 0.1, 0.1)
            elif not recipe.mixup:
                changes["mixup"] = 0.2
        return self.train(**changes)

    def lighter(self) -> str:
        """Less to fetch for each sample, or less often."""
        recipe, source = self._record.recipe, self._record.problem.input
        if isinstance(source, ImageInput) and source.height >= LARGE:
            return self.train(image_size=source.height * 3 // 4)
        return self.train(batch_size=2 * recipe.batch_size)

    def _kept(self) -> dict[str, Any]:
        """The settings in which the run differs from the model's own recipe."""
        recipe, own = as_dict(self._record.recipe), as_dict(self._own)
        kept = {name: value for name, value in recipe.items() if value != own[name] and name != "options"}
        if recipe["steps"]:  # they rule over epochs, which asked for would drop them
            kept.pop("epochs", None)
        return kept

    def _data(self, *known: str) -> list[str]:
        """The data and how it was read, as far as the options `known` say it, or all of them."""
        told = self._record.data
        source = self._record.source or str(told.get("name") or "DATA")
        options = {
            name: value for name, value in told.get("options", {}).items() if not known or name in known
        }
        return ["--data", source, *reading_options(options)]


def _toml(value: Any) -> str:
    """A setting as `-o` reads it."""
    if value is None:
        return "none"
    return value if isinstance(value, str) else msgspec.json.encode(to_builtins(value)).decode()
