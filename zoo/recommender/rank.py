"""Which models suit a problem: filtered by what must hold, ranked by what is expected."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from typing import Any

from zoo import licenses, settings
from zoo.errors import SpecError, ZooError, hint
from zoo.recommender.answer import Choice, Recommendation
from zoo.recommender.calibration import Calibration, read_calibrations
from zoo.recommender.cost import Z80, make_estimate
from zoo.recommender.filter import Candidate, Filter, fitted
from zoo.recommender.objective import Weight
from zoo.recommender.outcomes import History, Outcome, read_outcomes
from zoo.recommender.reasons import (
    cheapness,
    cost_notes,
    ranking_notes,
    reasons_for,
    score_basis,
    size_notes,
    unmet_notes,
)
from zoo.recommender.score import ScoreModel
from zoo.registry import Registry
from zoo.specs import Budget, Classes, Device, Estimate, Problem

OBJECTIVES: Mapping[str, Weight] = {
    "balanced": Weight(time=0.1, beyond_hour=0.4),
    "accuracy": Weight(),
    "speed": Weight(time=1.0),
    "size": Weight(size=1.0),
}
CHEAP = 0.5  # of the first one's time, for a baseline
PROBED, LEAST_PROBE = 0.3, 30.0  # of all trainings' time, and seconds, for a probe that tells something
NUMBER_SHARE = 0.3  # of that, for a metric that is a number: on its scale, models differ by less


def recommend(
    registry: Registry, problem: Problem, device: Device, budget: Budget, **options: Any
) -> Recommendation:
    """The models that suit a problem, best first, with a cheap baseline and what was ruled out.

    `options` are those of `Question`, which raises `ZooError` for nonsense.
    """
    return Question(registry, problem, device, budget, **options).answer()


class Question:
    """A problem, a device and limits, with all that is known of every model that might do."""

    def __init__(
        self,
        registry: Registry,
        problem: Problem,
        device: Device,
        budget: Budget,
        *,
        objective: str = "balanced",
        top: int = 3,
        pretrained: bool | None = None,
        offline: bool = False,
        data: Sequence[str] = ("DATA",),
        calibrations: Mapping[str, Calibration] | None = None,
        outcomes: Sequence[Outcome] | None = None,
    ) -> None:
        """Looks at every model of the task.

        `objective` is `balanced`, `accuracy`, `speed` or `size`. `pretrained` asks for weights to start
        from, or for none; by default both are weighed. With `offline`, weights must be on this machine.
        `data` is what the commands to run give after `--data`. `calibrations` and `outcomes` stand in for
        this machine's. Raises `ZooError` for a problem, task or option that makes no sense.
        """
        _check(problem, budget, objective, top)
        self.registry, self.problem, self.device, self.budget = registry, problem, device, budget
        self.task, self.data = registry.task(problem.task), data
        self._top, self._pretrained = top, pretrained
        models = [model for model in registry.models.values() if problem.task in model.spec.tasks]
        if not models:
            raise ZooError(f"no installed model does {problem.task!r}; see 'zoo list' for what there is")
        models = [model for model in models if model.spec.recommend]
        if not models:
            raise ZooError(
                f"of the installed models for {problem.task!r} none is for use, as their plugins say"
            )
        known = read_calibrations() if calibrations is None else calibrations
        self._calibration = known.get(device.spec.name)
        past = read_outcomes() if outcomes is None else outcomes
        own = [each.as_evidence() for each in past if each.score is not None]
        self.scores = ScoreModel(self.task, problem, [*registry.evidence, *own], registry.models)
        calibrated = self._calibration.measured if self._calibration else ""
        self._filter = Filter(
            problem,
            device,
            budget,
            scores=self.scores,
            calibration=self._calibration,
            history=History(past, device.spec.name, calibrated),
            offline=offline or settings.offline(),
        )
        self.candidates, self.rejected = self._filter.sort(models, pretrained)
        self._rank(objective)

    def _rank(self, objective: str) -> None:
        self._objective = objective
        self._weight = OBJECTIVES[objective].scaled(1.0 if self.task.unit == "fraction" else NUMBER_SHARE)
        self.ranked, self._unknown = _ranked(self.candidates, self._weight), 0
        ruled_out = any(not isinstance(rejection.needed, str) for rejection in self.rejected)
        if ruled_out and not any(candidate.fits for candidate in self.ranked):
            self.ranked, self._unknown = [], len(self.ranked)  # what is not known to fit is no way out
        self.baseline = _baseline(self.ranked)

    def aimed_at(self, objective: str) -> Question:
        """The same question with another objective: what fits and what is expected stay as they are."""
        if objective == self._objective:
            return self
        other = copy(self)
        other._rank(objective)
        return other

    def answer(self) -> Recommendation:
        """The best of them, a baseline, and what was ruled out."""
        chosen, baseline = self.ranked[: self._top], self.baseline
        tied = [candidate.name for candidate in chosen if self.is_tied(candidate)]
        if baseline is not None and all(candidate is not baseline for candidate in chosen):
            chosen.append(baseline)
        return Recommendation(
            task=self.task,
            problem=self.problem,
            device=self.device,
            budget=self.budget,
            objective=self._objective,
            recommendations=tuple(self.choice(c, chosen[0], is_baseline=c is baseline) for c in chosen),
            rejected=tuple(self.rejected),
            notes=self.notes(),
            tied=tuple(tied) if len(tied) > 1 else (),
            probe_seconds=self._probe_seconds(chosen) if len(tied) > 1 else None,
            top=self._top,
            candidates=self._filter.considered,
            calibrated=self._calibration.measured or "before" if self._calibration else "",
        )

    def notes(self) -> tuple[str, ...]:
        """What could not be judged, what counted against a better score, and what is missing."""
        return (
            *self._filter.notes,
            *ranking_notes(self.scores, self._objective, self._weight, self.ranked),
            *size_notes(self.scores.published.law, self.problem, self.device, self.budget),
            *cost_notes(self.ranked, self.device, self._filter.memory_limit),
            *(() if self.ranked else unmet_notes(self.rejected, self._pretrained, self._unknown)),
        )

    def _probe_seconds(self, chosen: Sequence[Candidate]) -> float | None:
        """What half of which shows a sixth of each training's schedule; the other half is for the best."""
        if self.device.free_bytes is None:  # nobody can try anything there
            return None
        times = [candidate.seconds.value for candidate in chosen if candidate.seconds]
        return max(LEAST_PROBE, PROBED * sum(times)) if len(times) == len(chosen) else None

    def is_tied(self, candidate: Candidate) -> bool:
        """Whether a candidate's score cannot be told apart from the first one's; of the first, from any's."""
        first = self.ranked[0]
        if candidate is first:
            return any(_is_tied(other, first) for other in self.ranked if other is not first)
        return _is_tied(candidate, first)

    def price(self, candidate: Candidate) -> float:
        """What a candidate's time and size count, on the scale of scores."""
        return self._weight.price(candidate.seconds, candidate.load)

    def choice(self, candidate: Candidate, first: Candidate, *, is_baseline: bool = False) -> Choice:
        """A candidate as the answer has it, beside the first."""
        return _choice(self.scores, candidate, first, self.data, is_baseline=is_baseline)


def _check(problem: Problem, budget: Budget, objective: str, top: int) -> None:
    """Raises `SpecError` that lists everything about the question that makes no sense."""
    faults = []
    if problem.samples == 0:
        faults.append("samples = 0: there is nothing to train on")
    if isinstance(problem.output, Classes) and problem.output.count == 1:
        faults.append("a single class: there is nothing to tell apart")
    if budget.commercial and budget.licenses and not any(licenses.commercial(one) for one in budget.licenses):
        asked = ", ".join(budget.licenses)
        faults.append(f"commercial use, but only under {asked}: leave out the one or the other")
    if objective not in OBJECTIVES:
        faults.append(f"objective = {objective!r}: no such objective; {hint(objective, OBJECTIVES)}")
    if top < 1:
        faults.append(f"top = {top}: at least 1")
    if faults:
        raise SpecError("recommend", faults)


# -- order ------------------------------------------------------------------------------------


def _ranked(candidates: Sequence[Candidate], weight: Weight) -> list[Candidate]:
    """The best candidate of each model, the best first; those whose fit is not known last.

    Where scores are equal, or none can be foretold, the cheaper comes first.
    """
    worth = _worth(candidates, weight)
    ordered = sorted(candidates, key=lambda c: (not c.fits, -worth(c), *_expense(c), c.name))
    seen: dict[int, Candidate] = {}
    for candidate in ordered:
        seen.setdefault(id(candidate.model), candidate)
    return list(seen.values())


def _worth(candidates: Sequence[Candidate], weight: Weight) -> Callable[[Candidate], float]:
    """Expected score less what time and size count; what is not known of a candidate counts as usual."""
    prices = [weight.price(c.seconds, c.load) for c in candidates if c.seconds and c.load]
    usual = sum(prices) / len(prices) if prices else 0.0

    def worth(candidate: Candidate) -> float:
        known = candidate.load is not None and (candidate.seconds is not None or not weight.time)
        return candidate.merit - (weight.price(candidate.seconds, candidate.load) if known else usual)

    return worth


def _expense(candidate: Candidate) -> tuple[float, float]:
    return (
        candidate.seconds.value if candidate.seconds else math.inf,
        candidate.load.parameters if candidate.load else math.inf,
    )


def _is_tied(one: Candidate, other: Candidate) -> bool:
    """Whether an 80% interval of the difference in score holds nought."""
    if one.prediction is None or other.prediction is None:
        return True
    deviation = math.hypot(one.prediction.own, other.prediction.own)
    return one is other or abs(one.prediction.mean - other.prediction.mean) < Z80 * deviation


def _baseline(ranked: Sequence[Candidate]) -> Candidate | None:
    """The candidate that is best for its time, other than the first and, if there is one, far cheaper."""
    others = [candidate for candidate in ranked[1:] if candidate.fits]
    first = ranked[0].seconds if ranked else None
    cheaper = [c for c in others if first and c.seconds and c.seconds.value < CHEAP * first.value]
    return max(cheaper or others, key=_worth(others, OBJECTIVES["speed"]), default=None)


# -- the answer -------------------------------------------------------------------------------


def _choice(
    scores: ScoreModel, candidate: Candidate, first: Candidate, data: Sequence[str], *, is_baseline: bool
) -> Choice:
    load, plan, recipe = candidate.load, candidate.plan, candidate.plan.recipe
    reasons = reasons_for(scores, candidate)
    if is_baseline:
        reasons.append(cheapness(candidate, first))
    command = f"zoo train {candidate.name} --data {shlex.join(data)}"
    if recipe.accumulate > 1:
        command += "".join(f" -o {name}={value}" for name, value in fitted(recipe).items())
    return Choice(
        model=candidate.model.name,
        weights=candidate.weights.tag if candidate.weights else None,
        fits="yes" if candidate.fits else "unknown",
        score=expected_score(scores, candidate),
        memory_bytes=plan.estimate_memory(load, candidate.memory_correction) if load else None,
        seconds=plan.estimate_seconds(load, candidate.seconds_correction) if load else None,
        recipe=recipe,
        reasons=tuple(reasons),
        command=command,
        role="baseline" if is_baseline else "pick",
    )


def expected_score(scores: ScoreModel, candidate: Candidate) -> Estimate | None:
    """A candidate's score on the metric's own scale, as an 80% interval; None where nothing is known.

    No classifier is taken to do worse than one that guesses.
    """
    prediction = candidate.prediction
    if prediction is None:
        return None
    reach = Z80 * prediction.deviation
    steps = (-reach, 0.0, reach)
    low, value, high = sorted(max(scores.least, scores.scale.back(prediction.mean + step)) for step in steps)
    source, method = score_basis(scores, candidate)
    return make_estimate(value, low, high, source, method)
