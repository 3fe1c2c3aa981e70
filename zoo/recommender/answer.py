"""What the recommender answers: choices, what was ruled out, and notes."""

from __future__ import annotations

from typing import Any

import msgspec

from zoo.specs import Budget, Device, Estimate, Problem, Recipe, TaskSpec, to_builtins


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """One model to train, from `weights` (a tag) or from scratch, and what is to be expected of it.

    `fits` is `yes`, or `unknown` where the model's facts or the device's memory are not known. `role`
    is `pick`, or `baseline` for a cheap model to compare with. An estimate is None where nothing is
    known.
    """

    model: str
    weights: str | None
    fits: str
    score: Estimate | None
    memory_bytes: Estimate | None
    seconds: Estimate | None
    recipe: Recipe
    reasons: tuple[str, ...]
    command: str
    role: str = "pick"

    @property
    def name(self) -> str:
        """The name to train or load by: `model`, with the weights' tag if there is one."""
        return f"{self.model}.{self.weights}" if self.weights else self.model

    def as_json(self) -> dict[str, Any]:
        """As `zoo recommend --json` has it; what is not known is null."""
        estimates = {"score": self.score, "memory_bytes": self.memory_bytes, "seconds": self.seconds}
        return {
            "model": self.model,
            "weights": self.weights,
            "fits": self.fits,
            "role": self.role,
            "estimate": {name: _estimate(estimate) for name, estimate in estimates.items()},
            "recipe": to_builtins(self.recipe),
            "reasons": list(self.reasons),
            "command": self.command,
        }


class Rejection(msgspec.Struct, frozen=True):
    """A model that was ruled out: by which limit, what it needs and what there is."""

    model: str
    limit: str
    needed: float | str
    available: float | str

    def as_json(self) -> dict[str, Any]:
        """As `zoo recommend --json` has it."""
        return {
            "model": self.model,
            "limit": self.limit,
            "needed": self.needed,
            "available": self.available,
        }


class Recommendation(msgspec.Struct, frozen=True, kw_only=True):
    """The models that suit a problem: the best `top` of so many `candidates`, then perhaps a baseline.

    `tied` names those that cannot be told from the first, and `probe_seconds` is what it may take to try
    them here, where that is known. `calibrated` says when the device was timed.
    """

    task: TaskSpec
    problem: Problem
    device: Device
    budget: Budget
    objective: str
    recommendations: tuple[Choice, ...]
    rejected: tuple[Rejection, ...]
    notes: tuple[str, ...]
    tied: tuple[str, ...] = ()
    probe_seconds: float | None = None
    top: int = 3
    candidates: int = 0
    calibrated: str = ""

    def as_json(self) -> dict[str, Any]:
        """The document that `zoo recommend --json` prints; every estimate is an 80% interval."""
        return {
            "schema": 1,
            "problem": to_builtins(self.problem),
            "device": to_builtins(self.device),
            "budget": to_builtins(self.budget),
            "objective": self.objective,
            "metric": self.task.metric,
            "candidates": self.candidates,
            "recommendations": [choice.as_json() for choice in self.recommendations],
            "tied": list(self.tied),
            "probe_seconds": self.probe_seconds,
            "rejected": [rejection.as_json() for rejection in self.rejected],
            "notes": list(self.notes),
        }


def _estimate(estimate: Estimate | None) -> dict[str, Any] | None:
    return None if estimate is None else to_builtins(estimate)
