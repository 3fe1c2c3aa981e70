"""How each number that is said of one model came about."""

from __future__ import annotations

from typing import Any

import msgspec

from zoo.errors import UnknownNameError
from zoo.recommender.answer import Choice, Rejection
from zoo.recommender.filter import Candidate
from zoo.recommender.rank import Question
from zoo.recommender.reasons import format_limit, format_score
from zoo.recommender.render import Line, score_text, seconds_text, space_text
from zoo.specs import Estimate
from zoo.units import format_bytes, format_count

SHOWN = 5  # measured results that are listed


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """One model at one problem: its `place` among `of` that may be recommended, or what rules it out.

    `for_use` is false where its plugin says that it is never to be recommended.
    """

    name: str
    for_use: bool
    choice: Choice | None
    rejections: tuple[Rejection, ...]
    place: int | None
    of: int
    lines: tuple[Line, ...]

    def as_json(self) -> dict[str, Any]:
        """As `zoo recommend --explain --json` has it."""
        return {
            "schema": 1,
            "model": self.name,
            "for_use": self.for_use,
            "place": self.place,
            "of": self.of,
            "recommendation": self.choice.as_json() if self.choice else None,
            "rejected": [rejection.as_json() for rejection in self.rejections],
        }


def explain(question: Question, name: str) -> Account:
    """What is said of a model, or of one set of its weights, and why; raises `UnknownNameError`."""
    model, weights = question.registry.model(name)
    if question.problem.task not in model.spec.tasks:
        raise UnknownNameError(f"{model.name} does not do {question.problem.task}: zoo info {model.name}")
    mine = [c for c in question.candidates if c.model is model and weights in (None, c.weights)]
    ruled_out = tuple(
        rejection
        for rejection in question.rejected
        if rejection.model == (weights.name if weights else model.name)
        or (weights is None and rejection.model.startswith(f"{model.name}."))
    )
    ranked = question.ranked
    place = next((row for row, c in enumerate(ranked, start=1) if c.model is model), None)
    best = next((c for c in ranked if any(c is one for one in mine)), mine[0] if mine else None)
    choice = question.choice(best, ranked[0]) if best else None
    lines = [("model", weights.name if weights else model.name)]
    if not model.spec.recommend:
        lines.append(
            ("left out", "its plugin says that it is no model for use; 'zoo train' takes it all the same")
        )
    if place is not None:
        lines.append(("place", f"{place:,} of {len(ranked):,} models that may be recommended"))
    lines += [("ruled out", _rejected(rejection)) for rejection in ruled_out]
    if best is not None and choice is not None:
        lines += _lines(question, best, choice)
    return Account(
        name=name,
        for_use=model.spec.recommend,
        choice=choice,
        rejections=ruled_out,
        place=place,
        of=len(ranked),
        lines=tuple(lines),
    )


def _rejected(rejection: Rejection) -> str:
    needed, available = (
        format_limit(rejection.limit, amount) for amount in (rejection.needed, rejection.available)
    )
    return f"{rejection.model}: {rejection.limit} {needed}, {available} allowed"


def _lines(question: Question, candidate: Candidate, choice: Choice) -> list[Line]:
    unit, load, plan = question.task.unit, candidate.load, candidate.plan
    lines = [
        (question.task.metric, _told(score_text(choice.score, unit), choice.score)),
        *_results(question, candidate),
    ]
    lines.append(("memory", _told(space_text(choice.memory_bytes), choice.memory_bytes)))
    if load is not None:
        parts = plan.memory_parts(load).items()
        lines += [("", f"{format_bytes(amount)} {name}") for name, amount in parts]
    lines.append(("time", _told(seconds_text(choice.seconds), choice.seconds)))
    if load is not None:
        lines.append(("facts", f"{format_count(load.parameters)} parameters, {format_count(load.macs)} MACs"))
        latency = plan.latency(load)
        if latency is not None:
            value, upper = (format_limit("latency", amount) for amount in (latency.value, latency.upper))
            lines.append(("latency", f"{value} for one sample, 95 in 100 below {upper}"))
    lines += [("why" if not row else "", reason) for row, reason in enumerate(choice.reasons)]
    lines.append(("run", choice.command))
    return lines


def _told(text: str, estimate: Estimate | None) -> str:
    return f"{text}: {estimate.method}; from {estimate.source}" if estimate else text


def _results(question: Question, candidate: Candidate) -> list[Line]:
    """The measured results of the model, the nearest first, and what the evidence makes of it."""
    found = question.scores.results_of(candidate.model, candidate.weights)
    rows = [
        (
            "measured" if not row else "",
            f"{format_score(record.score or 0.0, question.task.unit)} on {record.dataset or record.source}, "
            f"{record.problem.samples or 0:,} samples ({record.source})",
        )
        for row, record in enumerate(found[:SHOWN])
    ]
    return rows or [("measured", "nothing of this model")]
