"""What may be recommended at all: what fits the device, the time, the licences asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from zoo import licenses
from zoo.errors import PluginError
from zoo.recipes import recipe_path, resolve_recipe
from zoo.recommender.answer import Rejection
from zoo.recommender.calibration import Calibration
from zoo.recommender.cost import Cost, Plan, available_memory, round3
from zoo.recommender.facts import Load, Shape, load_at, shape_seen
from zoo.recommender.local import LocalFiles
from zoo.recommender.outcomes import NONE, Correction, History
from zoo.recommender.score import Prediction, ScoreModel
from zoo.registry import Model
from zoo.specs import Budget, Device, ImageInput, Problem, Recipe, TokenInput, WeightsSpec

SMALLEST_PIECE = 4  # samples: a batch is cut no smaller than this to fit the memory


class Candidate(msgspec.Struct, frozen=True, gc=False):
    """A model, perhaps with weights to start from, that nothing rules out."""

    model: Model
    weights: WeightsSpec | None
    plan: Plan
    load: Load | None
    memory: Cost | None
    seconds: Cost | None
    prediction: Prediction | None
    fits: bool  # False where it is not known
    merit: float = 0.0  # by which it is ranked: the expected score, else what studies say of it beside others
    memory_correction: Correction = NONE
    seconds_correction: Correction = NONE

    @property
    def name(self) -> str:
        """The model's full name, with the weights' tag."""
        return _name(self.model, self.weights)


def _name(model: Model, weights: WeightsSpec | None) -> str:
    return weights.name if weights else model.name


class _Costs(msgspec.Struct, frozen=True, gc=False):
    """What a model's training costs at one shape, memory and seconds as this machine has taught."""

    load: Load | None
    plan: Plan
    memory: Cost | None = None
    seconds: Cost | None = None
    latency: Cost | None = None
    memory_correction: Correction = NONE
    seconds_correction: Correction = NONE


class Filter:
    """Sorts models by whether they fit `device` and `budget`; `notes` gathers what could not be judged."""

    def __init__(
        self,
        problem: Problem,
        device: Device,
        budget: Budget,
        *,
        scores: ScoreModel,
        calibration: Calibration | None = None,
        history: History | None = None,
        offline: bool = False,
    ) -> None:
        self.notes: list[str] = []
        self.considered = 0  # models, and weights to start from
        self.memory_limit = available_memory(device, budget)
        self._problem, self._device, self._budget = problem, device, budget
        self._scores, self._calibration = scores, calibration
        self._history = history or History((), device.spec.name)
        self._local = LocalFiles() if offline else None
        self._licenses = {name.lower() for name in budget.licenses}
        self._plans: dict[tuple[str, str | None, bool], Plan | None] = {}

    def sort(
        self, models: Iterable[Model], pretrained: bool | None
    ) -> tuple[list[Candidate], list[Rejection]]:
        """Those that may be recommended; and the others, the most promising first, with what rules them out.

        Weights that a limit rules out together with their model are told of in one line.
        """
        candidates: list[Candidate] = []
        rejected: list[tuple[float, Rejection]] = []
        for model in models:
            trainings: dict[bool, tuple[Plan | None, dict[Shape, _Costs]]] = {}  # of fine-tuning, and anew
            limits: set[str] = set()
            for weights in _starts(model, self._problem, pretrained):
                finetune = weights is not None
                if finetune not in trainings:
                    trainings[finetune] = self._plan(model, finetune=finetune), {}
                plan, costs = trainings[finetune]
                if plan is None:
                    continue
                self.considered += 1
                found = self._judge(model, weights, plan, costs)
                if isinstance(found, Candidate):
                    candidates.append(found)
                elif found.limit not in limits:
                    rejected.append(
                        (self._merit(model, weights, self._scores.predict(model, weights)), found)
                    )
                    if weights is None:
                        limits.add(found.limit)
        rejected.sort(key=lambda entry: -entry[0])
        return candidates, [rejection for _, rejection in rejected]

    def _judge(
        self,
        model: Model,
        weights: WeightsSpec | None,
        plan: Plan,
        costs: dict[Shape, _Costs],
    ) -> Candidate | Rejection:
        refused = self._refused_license(model, weights)
        if refused is not None:
            return refused
        if weights is not None and self._local is not None and not self._local.has(weights):
            return Rejection(_name(model, weights), "offline", weights.sources[0], "not on this machine")
        found = _Costs(None, plan)
        if model.spec.facts is not None:
            shape = shape_seen(model.spec, self._problem, plan.recipe, weights)
            if shape not in costs:
                costs[shape] = self._costs(model, shape, plan)
            found = costs[shape]
            exceeded = self._exceeded(found)
            if exceeded is not None:
                return Rejection(_name(model, weights), *exceeded)
        budget = self._budget
        timed = budget.seconds is None or found.seconds is not None
        quick = budget.latency_seconds is None or found.latency is not None
        prediction = self._scores.predict(model, weights)
        return Candidate(
            model,
            weights,
            found.plan,
            found.load,
            found.memory,
            found.seconds,
            prediction,
            fits=found.memory is not None and self.memory_limit is not None and timed and quick,
            merit=self._merit(model, weights, prediction),
            memory_correction=found.memory_correction,
            seconds_correction=found.seconds_correction,
        )

    def _merit(self, model: Model, weights: WeightsSpec | None, prediction: Prediction | None) -> float:
        return prediction.mean if prediction else self._scores.published.advantage(model, weights)

    def _costs(self, model: Model, shape: Shape, plan: Plan) -> _Costs:
        load = load_at(model.spec, self._problem, shape)
        if load is None:
            return _Costs(None, plan)
        plan, memory = fit_batch(plan, load, self.memory_limit)
        seconds, history = plan.seconds(load), self._history
        space = history.memory(model.name, plan.recipe.batch_size, plan.precision)
        time = history.seconds(model.name, model.spec.family, plan.precision)
        return _Costs(
            load,
            plan,
            memory.corrected(space),
            seconds.corrected(time) if seconds else None,
            plan.latency(load) if self._budget.latency_seconds is not None else None,
            space,
            time,
        )

    def _exceeded(self, costs: _Costs) -> tuple[str, float, float] | None:
        """The first limit that the upper bound of an estimate is above: which, what is needed and allowed."""
        budget, load = self._budget, costs.load
        if load is not None and budget.parameters is not None and load.parameters > budget.parameters:
            return "parameters", load.parameters, budget.parameters
        bounds = (
            ("memory", costs.memory, self.memory_limit),
            ("time", costs.seconds, budget.seconds),
            ("latency", costs.latency, budget.latency_seconds),
        )
        for name, cost, limit in bounds:
            if cost is not None and limit is not None and cost.upper > limit:
                return name, round3(cost.upper), limit
        return None

    def _refused_license(self, model: Model, weights: WeightsSpec | None) -> Rejection | None:
        """A licence that applies and is not allowed; weights without one are not allowed either."""
        asked, commercial = self._licenses, self._budget.commercial
        if not asked and not commercial:
            return None
        own = [model.spec.license, *([weights.license] if weights else [])]
        every = [model.spec.license, *(licenses.applying(weights) if weights else ())]
        allowed = ", ".join(self._budget.licenses)
        refused = [(one, allowed) for one in own if asked and one.lower() not in asked]
        allowed = "for commercial use"
        refused += [(one, allowed) for one in every if commercial and not licenses.commercial(one)]
        if not refused:
            return None
        stated, allowed = refused[0]
        return Rejection(_name(model, weights), "license", stated or "none stated", allowed)

    def _plan(self, model: Model, *, finetune: bool) -> Plan | None:
        """The plugin's recipe for such a training on the device; None, with a note, where it is no good."""
        problem = self._problem
        key = (model.plugin.name, recipe_path(model, problem.task), finetune)
        if key not in self._plans:
            try:
                recipe = resolve_recipe(model, problem.task, samples=problem.samples, finetune=finetune)
                self._plans[key] = Plan(recipe, self._device, self._calibration, exact=problem.keeps_fp32)
            except PluginError as error:
                note = f"models with this recipe are left out: {error}"
                self.notes += [note] if note not in self.notes else []
                self._plans[key] = None
        return self._plans[key]


def fit_batch(plan: Plan, load: Load, limit: float | None) -> tuple[Plan, Cost]:
    """The plan with each batch in as few pieces as fit the memory, and what it then takes.

    Gradients are accumulated over the pieces, so that the training stays the same. Where no number
    of pieces fits, the plan stays as it is.
    """
    whole = plan.memory(load)
    if limit is None or whole.upper <= limit:
        return plan, whole
    recipe = plan.recipe
    pieces = 2 * recipe.accumulate
    while (
        recipe.batch_size % pieces == 0 and recipe.batch_size // pieces >= SMALLEST_PIECE * plan.device.count
    ):
        smaller = plan.in_pieces(pieces)
        cost = smaller.memory(load)
        if cost.upper <= limit:
            return smaller, cost
        pieces *= 2
    return plan, whole


def fitted(recipe: Recipe) -> dict[str, int]:
    """What `fit_batch` may have changed of a recipe, as settings of a training."""
    return {"accumulate": recipe.accumulate, "eval_batch_size": recipe.eval_batch_size}


def _starts(model: Model, problem: Problem, pretrained: bool | None) -> Iterator[WeightsSpec | None]:
    """From scratch, and from each of the model's weights that take such inputs."""
    if pretrained is not True:
        yield None
    if pretrained is not False:
        yield from (weights for weights in model.weights if _are_for(weights, problem))


def _are_for(weights: WeightsSpec, problem: Problem) -> bool:
    """Whether weights were trained for the same task on inputs that can be made of the user's.

    Images are resized and recoloured; tokens must be of the same vocabulary, series of as many channels.
    """
    trained = weights.problem
    if trained is None or trained.task != problem.task:
        return trained is None
    kind, there, here = type(problem.input), trained.input, problem.input
    if type(there) is not kind:
        return False
    if kind is ImageInput:
        return True
    attribute = "vocab_size" if kind is TokenInput else "channels"
    return bool(getattr(there, attribute) == getattr(here, attribute))
