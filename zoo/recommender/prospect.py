"""What one training is expected to cost and to reach, said before it starts, to be held against what came."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zoo.errors import ZooError
from zoo.recipes import resolve_recipe
from zoo.recommender.calibration import read_calibrations
from zoo.recommender.cost import CONTEXT_BYTES, GPUS, SPEEDS, Z80, Cost, Plan, make_estimate
from zoo.recommender.devices import find_device
from zoo.recommender.facts import Load, load_at, shape_seen
from zoo.recommender.filter import Candidate
from zoo.recommender.outcomes import Correction, History, read_outcomes
from zoo.recommender.rank import expected_score
from zoo.recommender.score import ScoreModel
from zoo.registry import Model, Registry
from zoo.specs import Estimate, Problem, Recipe, WeightsSpec, as_dict, to_builtins

FORESEEN = ("score", "memory_bytes", "seconds")
SAME_SCORE = frozenset(  # settings that decide where and how fast the same is computed, or of which seed
    {
        "accumulate",
        "activation_checkpointing",
        "channels_last",
        "compile",
        "eval_batch_size",
        "eval_samples",
        "precision",
        "seed",
    }
)


def foresee(
    registry: Registry,
    model: Model,
    problem: Problem,
    recipe: Recipe,
    device: str,
    *,
    processes: int = 1,
    weights: WeightsSpec | None = None,
    options: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """What a run keeps of its prospects: `score`, `memory_bytes` and `seconds`, each an `Estimate` or None.

    `problem` is that of the data, `device` what `find_device` takes, of which each of the `processes` has one
    where it is a GPU; `options` are the builder's. The seconds are those of training and judging
    `steps` steps, without the start of the process; the memory is the process's, but for a GPU's own context.
    `notes` say why something is not known.
    """
    try:
        place = find_device(registry, device)
        place = place.replace(count=processes) if place.spec.kind in GPUS else place
        calibration = read_calibrations().get(place.spec.name)
        plan = Plan(recipe, place, calibration, exact=problem.keeps_fp32)
        calibrated = calibration.measured if calibration else ""
        history = History(read_outcomes(), place.spec.name, calibrated)
        found, notes = _estimates(registry, model, problem, plan, weights, options or {}, history)
    except ZooError as error:  # which harms no training
        found, notes = dict.fromkeys(FORESEEN), [f"nothing is predicted: {error}"]
        return {**found, "steps": recipe.total_steps(problem.samples or 0), "notes": notes}
    told = {name: None if estimate is None else to_builtins(estimate) for name, estimate in found.items()}
    space, time = _corrections(history, model, plan)
    basis = {
        "device": place.spec.name,
        "calibrated": calibrated,
        "memory_factor": space.factor,
        "seconds_factor": time.factor,
    }
    return {**told, "steps": recipe.total_steps(problem.samples or 0), "basis": basis, "notes": notes}


def _corrections(history: History, model: Model, plan: Plan) -> tuple[Correction, Correction]:
    """Those of memory and of time."""
    space = history.memory(model.name, plan.recipe.batch_size, plan.precision)
    return space, history.seconds(model.name, model.spec.family, plan.precision)


def _estimates(
    registry: Registry,
    model: Model,
    problem: Problem,
    plan: Plan,
    weights: WeightsSpec | None,
    options: Mapping[str, Any],
    history: History,
) -> tuple[dict[str, Estimate | None], list[str]]:
    found: dict[str, Estimate | None] = dict.fromkeys(FORESEEN)
    own = resolve_recipe(model, problem.task, samples=problem.samples, finetune=weights is not None)
    changed = [name for name, value in options.items() if own.options.get(name) != value]
    if changed:
        return found, [f"nothing is predicted: {', '.join(changed)} makes it another model than was measured"]
    notes = []
    load = load_at(model.spec, problem, shape_seen(model.spec, problem, plan.recipe, weights))
    differing = sorted(_differing(plan.recipe, own) - SAME_SCORE)
    if differing:
        notes.append(f"no score is predicted: the recipe is not the model's own in {', '.join(differing)}")
    else:
        found["score"] = _score(registry, model, problem, weights, plan)
        notes += [] if found["score"] else ["no score is predicted: not enough evidence for this task"]
    if load is None:
        why = f"the facts of {model.name} were never traced: zoo profile {model.name}"
        return found, [*notes, f"no time or memory is predicted: {why}"]
    space, time = _corrections(history, model, plan)
    found["memory_bytes"], found["seconds"] = _memory(plan, load, space), _seconds(plan, load, time)
    if found["seconds"] is None:
        notes.append(f"no time is predicted: the speed of {plan.device.title} is not known")
    return found, notes


def _differing(one: Recipe, other: Recipe) -> set[str]:
    mine, others = as_dict(one), as_dict(other)
    return {name for name in mine if mine[name] != others[name]}


def _score(
    registry: Registry, model: Model, problem: Problem, weights: WeightsSpec | None, plan: Plan
) -> Estimate | None:
    scores = ScoreModel(registry.task(problem.task), problem, registry.evidence, registry.models)
    prediction = scores.predict(model, weights)
    return expected_score(scores, Candidate(model, weights, plan, None, None, None, prediction, fits=False))


def _memory(plan: Plan, load: Load, correction: Correction) -> Estimate:
    """As the recommender has it; a GPU's context is left out, which a process cannot see of itself."""
    whole = plan.estimate_memory(load, correction)
    kind = plan.device.spec.kind
    if kind not in GPUS:
        return whole
    context = CONTEXT_BYTES.get(kind, CONTEXT_BYTES["cuda"])
    value, low, high = (max(0.0, amount - context) for amount in (whole.value, whole.low, whole.high))
    return make_estimate(value, low, high, whole.source, f"{whole.method}; less the device's own context")


def _seconds(plan: Plan, load: Load, correction: Correction) -> Estimate | None:
    """As the recommender has it, without the start of the process, which a run does not time."""
    whole, cost = plan.estimate_seconds(load, correction), plan.seconds(load)
    if whole is None or cost is None:
        return None
    begun = SPEEDS[plan.device.spec.kind].startup_seconds
    work = Cost(cost.value - begun, cost.sd).corrected(correction)
    low, high = work.bound(-Z80), work.bound(Z80)
    return make_estimate(work.value, low, high, whole.source, f"{whole.method}; without the start")
