"""Every check there is: its name, what it looks at, and where it is written."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

TEXT_IN = ("text-classification", "language-modeling", "seq2seq")
TEXT_OUT = ("language-modeling", "seq2seq")
CLASSES_OUT = ("image-classification", "text-classification", "series-classification")


@dataclass(frozen=True)
class Kind:
    """A check: of a plugin, of a model or of weights; with `tasks`, of models that do one of those.

    `function` is `module:name` within `zoo.testing`, imported when the check is made.
    """

    name: str
    of: Literal["plugin", "model", "weights"]
    function: str
    tasks: tuple[str, ...] = ()

    def resolve(self) -> Callable[..., Any]:
        """The function, which raises `ConformanceError` or `NotCheckedError`."""
        module, _, name = self.function.partition(":")
        found: Callable[..., Any] = getattr(importlib.import_module(f"zoo.testing.{module}"), name)
        return found


KINDS = (
    Kind("manifest", "plugin", "manifest:check_manifest"),
    Kind("import", "plugin", "manners:check_import"),
    Kind("side-effects", "plugin", "manners:check_side_effects"),
    Kind("meta", "model", "building:check_meta"),
    Kind("build", "model", "building:check_build"),
    Kind("seed", "model", "building:check_seed"),
    Kind("copy", "model", "building:check_copy"),
    Kind("facts", "model", "building:check_facts"),
    Kind("forward", "model", "forward:check_forward"),
    Kind("eval", "model", "forward:check_eval"),
    Kind("batch", "model", "forward:check_batch"),
    Kind("padding", "model", "forward:check_padding", TEXT_IN),
    Kind("causality", "model", "forward:check_causality", TEXT_OUT),
    Kind("bf16", "model", "forward:check_bf16"),
    Kind("compile", "model", "forward:check_compile"),
    Kind("gradients", "model", "learning:check_gradients"),
    Kind("overfit", "model", "learning:check_overfit"),
    Kind("recipe", "model", "training:check_recipe"),
    Kind("resume", "model", "training:check_resume"),
    Kind("round-trip", "model", "saving:check_round_trip"),
    Kind("head", "model", "saving:check_head", CLASSES_OUT),
    Kind("weights", "weights", "saving:check_weights"),
)
