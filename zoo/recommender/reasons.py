"""Why a model is recommended, and what is not known: short sentences from what was really used."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from zoo.recommender.answer import Rejection
from zoo.recommender.cost import attainable
from zoo.recommender.filter import Candidate
from zoo.recommender.objective import Weight
from zoo.recommender.scaling import PER_TOKEN, LossLaw
from zoo.recommender.score import ScoreModel
from zoo.specs import Budget, Device, Evidence, Problem, TokenInput
from zoo.units import format_bytes, format_count, format_seconds

NONE_YET = "not enough evidence"


def format_score(value: float, unit: str) -> str:
    """A metric as it is read: a fraction in per cent, a number with three digits."""
    return f"{100 * value:.1f}" if unit == "fraction" else f"{value:.3g}"


def format_limit(limit: str, amount: float | str) -> str:
    """An amount of memory, time or parameters with its unit; a licence as it is."""
    if isinstance(amount, str):
        return amount
    formats = {"memory": format_bytes, "time": format_seconds, "latency": _format_latency}
    return formats.get(limit, format_count)(amount)


def _format_latency(seconds: float) -> str:
    return f"{1000 * seconds:.3g} ms"


def score_basis(scores: ScoreModel, candidate: Candidate) -> tuple[str, str]:
    """The source and the method of a candidate's expected score."""
    records = scores.records
    named = "; ".join(list(dict.fromkeys(record.source for record in records))[:2])
    if scores.is_measured_here(candidate.model, candidate.weights):
        return named, "measured on this very problem; the interval is that of another seed"
    published = scores.published.sources(candidate.model, candidate.weights)
    method = "the problem's difficulty by regression on samples, classes and size, plus the model's advantage"
    if not records:
        return "; ".join(published), f"{method}, both as published: nothing was measured for this task"
    models, datasets = (len(set(names)) for names in zip(*map(_identity, records), strict=True))
    measured = f"{len(records)} results of {models} models on {datasets} data sets ({named})"
    method += ", which is drawn towards its family's; near problems count most"
    return "; ".join([measured, *published]), method


def reasons_for(scores: ScoreModel, candidate: Candidate) -> list[str]:
    """What speaks for a candidate, and what is not known of it."""
    said = _measured(scores, candidate)
    said += scores.published.reasons(candidate.model, candidate.weights)
    recipe = candidate.plan.recipe
    if candidate.load is None:
        name = candidate.model.name
        said.append(f"its facts were never traced, so its cost is not known: zoo profile {name}")
    elif recipe.accumulate > 1:
        piece = recipe.batch_size // recipe.accumulate
        said.append(f"each batch goes in {recipe.accumulate} pieces of {piece} samples, to fit the memory")
    return said


def cheapness(candidate: Candidate, first: Candidate) -> str:
    """Why a candidate is there to compare with."""
    times = candidate.seconds, first.seconds
    if times[0] is None or times[1] is None or times[0].value > 0.9 * times[1].value:
        return "a baseline to compare with"
    share = times[0].value / times[1].value
    told = f"{share:.0%}" if share >= 0.01 else "less than 1%"
    return f"a baseline to compare with, in {told} of the first one's time"


def ranking_notes(
    scores: ScoreModel, objective: str, weight: Weight, ranked: Sequence[Candidate]
) -> list[str]:
    """How the order came about, and what it lacks."""
    notes = []
    if ranked and all(candidate.prediction is None for candidate in ranked):
        return [f"{NONE_YET} for this task: no score can be foretold, so the cheapest come first"]
    if not scores.records:
        notes.append(
            f"{NONE_YET} for this task: nothing was measured, so scores are as published studies have it"
        )
    if ranked and weight != Weight():
        of = "errors" if scores.scale.unit == "fraction" else "error"
        notes.append(f"{objective}: {weight.describe(of)}")
    return notes


def cost_notes(ranked: Sequence[Candidate], device: Device, memory_limit: float | None) -> list[str]:
    """What could not be said about memory and time, and for how many models."""
    notes = []
    if memory_limit is None:
        notes.append(f"the memory of {device.title} is not known; say it with --memory")
    unknown = sum(candidate.load is None for candidate in ranked)
    if unknown:
        what = "1 model has" if unknown == 1 else f"{unknown:,} models have"
        notes.append(f"{what} no traced facts, so their cost is not known: last in the order")
    if any(candidate.load is not None and candidate.seconds is None for candidate in ranked):
        lacking = "how many samples there are" if device.spec.peak_flops else f"the speed of {device.title}"
        notes.append(f"{lacking} is not known, so no time can be foretold")
    return notes


def size_notes(law: LossLaw | None, problem: Problem, device: Device, budget: Budget) -> list[str]:
    """Which size of a language model suits so much text, and so much time, where its loss has a known law."""
    if law is None or not isinstance(problem.input, TokenInput):
        return []
    told, sizes = [], []
    if problem.samples:
        tokens = problem.samples * problem.input.length
        sizes.append(law.balanced_parameters(tokens))
        best = f"{format_count(sizes[-1])} parameters"
        told.append(f"{format_count(tokens)} tokens, each seen once, go best with {best}")
    rate = attainable(device)
    if budget.seconds and rate:
        operations = budget.seconds * rate
        sizes.append(law.best_parameters(operations))
        best = f"{format_count(sizes[-1])} parameters and {format_count(operations / PER_TOKEN / sizes[-1])}"
        told.append(f"{format_seconds(budget.seconds)} on {device.title} with {best} tokens")
    far = ", far below the models it was fitted on" if sizes and min(sizes) < law.fewest else ""
    return [f"{', and '.join(told)} ({law.source}{far})"] if told else []


def unmet_notes(rejected: Sequence[Rejection], pretrained: bool | None, unknown: int) -> list[str]:
    """What it would take, where nothing fits; of `unknown` models that cannot be told."""
    if not rejected:
        what = "weights" if pretrained else "model"
        return [f"nothing to recommend: no installed {what} for this task"]
    told = f"{unknown:,} models have no traced facts, so whether they fit is not known: zoo profile"
    more = [told] if unknown else []
    return [
        f"nothing fits: of {len([e for e in rejected if e.limit == limit])} ruled out by {limit}, "
        f"{least.model} needs least, {format_limit(limit, least.needed)}; "
        f"{format_limit(limit, least.available)} may be had"
        for limit, least in _cheapest(rejected).items()
    ] + more or [f"nothing fits: {len(rejected)} models were ruled out by {' and '.join(_limits(rejected))}"]


def _measured(scores: ScoreModel, candidate: Candidate) -> list[str]:
    own = scores.results_of(candidate.model, candidate.weights)
    if not own:
        if not scores.records:
            return [f"{NONE_YET}: nothing was measured for this task"]
        family = candidate.model.spec.family
        kind = f"{family} models with weights" if candidate.weights else f"{family} models from scratch"
        return [f"{NONE_YET} on this model: judged by {kind} and by the task's other results"]
    nearest, task = own[0], scores.task
    value = f"{task.metric} {format_score(nearest.score or 0.0, task.unit)}"
    where = f"{nearest.dataset or nearest.source}, {_samples(nearest)}"
    if scores.is_measured_here(candidate.model, candidate.weights):
        return [f"{value} measured on this very problem ({where})"]
    said = [f"{value} on the nearest of {len(own)} results ({where})"]
    best, tried = _best_in(scores, own)
    if best and tried > 1:
        said.append(f"best or as good as the best in {best} of {tried} measured problems")
    return said


def _best_in(scores: ScoreModel, own: Sequence[Evidence]) -> tuple[int, int]:
    """In how many of the problems it shares with others a model is best, or within a seed's difference."""
    tops: dict[tuple[str, int | None], list[float]] = defaultdict(list)
    for record in scores.records:
        tops[_place(record)].append(scores.scale.to(record.score or 0.0))
    shared = [record for record in own if len(tops[_place(record)]) > 1]
    best = [
        record
        for record in shared
        if scores.scale.to(record.score or 0.0) >= max(tops[_place(record)]) - scores.repeat
    ]
    return len(best), len(shared)


def _place(record: Evidence) -> tuple[str, int | None]:
    return record.dataset or record.source, record.problem.samples


def _identity(record: Evidence) -> tuple[str, str]:
    return record.model, record.dataset or record.source


def _samples(record: Evidence) -> str:
    count = record.problem.samples
    return "samples not stated" if count is None else f"{count:,} samples"


def _cheapest(rejected: Sequence[Rejection]) -> Mapping[str, Rejection]:
    """For each limit that is a number, the one of the rejected that needs least."""
    least: dict[str, Rejection] = {}
    for entry in rejected:
        if not isinstance(entry.needed, str):
            least[entry.limit] = min(entry, least.get(entry.limit, entry), key=lambda e: float(e.needed))
    return least


def _limits(rejected: Sequence[Rejection]) -> list[str]:
    return list(dict.fromkeys(entry.limit for entry in rejected))
