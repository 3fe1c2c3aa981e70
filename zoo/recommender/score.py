"""How well a model will do at a problem: measured results, weighed by how near their problems are.

On a scale where differences mean the same everywhere, a result is taken to be

    difficulty of its problem + advantage of its model + what the two do to one another.

Difficulty is a linear regression on the logarithms of samples, classes and size, in which a result
counts the less the farther its problem is. A model's advantage holds farther. It is drawn towards that
of its family, and a family's towards a published finding or nought, as far as their spreads allow; the
spreads are estimated from the same results. What no result speaks of keeps a wide interval.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from zoo.recommender.priors import Priors, Published, features, read_priors
from zoo.recommender.scale import Scale, Spread, pooled, solve
from zoo.registry import Model
from zoo.specs import Classes, Evidence, Problem, TaskSpec, WeightsSpec

REACH = (1.0, 1.0, 1.0)  # decades of samples, classes and size at which a result counts 0.6
OWN_REACH = (3.0, 3.0, 3.0)  # likewise for what a model is worth beside others, by UCR-128
FAINTEST = 0.02  # weight of a result, however far its problem
AMPLE = 8  # samples in a training step, from which on their number makes no difference to a result
FEW_REACH = 0.2  # decades of samples in a step, below that, at which a result counts 0.6
TAILS = 0.85  # of a normal deviation: errors have long tails, so that 80% of them are nearer (VTAB, UCR)
ROUNDS = 6  # after which nothing moves that could be seen
OPEN_LEVEL = 2.0  # deviation, in spreads between problems, where no study says how hard problems are
KNOWN_LEVEL = 0.5  # likewise, where one does

Key = tuple[str, str]  # a model's full name, and the tag of its weights or ""
Group = tuple[str, bool]  # a family, pretrained or not
Pairs = list[tuple[float, float]]  # values with their weights, or means with their variances


class Prediction(msgspec.Struct, frozen=True, gc=False):
    """An expected score, on the scale of comparison.

    `deviation` is that of the score itself; `own` leaves out what all models share at the problem,
    so it is what two models are told apart by.
    """

    mean: float
    deviation: float
    own: float


class _Place(msgspec.Struct, frozen=True):
    """One data set at one size: how many decades it is from the user's problem, and what it weighs.

    `weight` is for how hard the problem is, `own` for what a model is worth beside others.
    """

    dataset: str
    distance: tuple[float, ...]
    weight: float
    own: float


class _Result(msgspec.Struct, frozen=True):
    """One measured score, and where it was measured."""

    key: Key
    place: _Place
    value: float


class ScoreModel:
    """What the evidence says about one problem; `predict` then answers for any model."""

    def __init__(
        self,
        task: TaskSpec,
        problem: Problem,
        evidence: Iterable[Evidence],
        models: Mapping[str, Model],
        priors: Priors | None = None,
        *,
        batch: int | None = None,
    ) -> None:
        """`batch` is the number of samples in the user's training steps, ample where it is not given."""
        self.task, self._batch = task, batch
        self.scale = Scale(task.unit, task.maximize)
        self.published = Published(priors or read_priors(), problem, self.scale)
        self.records = [e for e in evidence if e.problem.task == problem.task and e.score is not None]
        self._problem, self._models = problem, models
        self._spread = self.scale.spread
        self._families: dict[Group, tuple[float, float]] = {}
        self._advantages: dict[Key, tuple[float, float]] = {}
        self._level: tuple[float, float] | None = None
        self._unmeasured: dict[Group, Prediction] = {}
        self._here: dict[Key, tuple[float, int]] = {}  # the mean, and of how many seeds
        self.repeat = self._learn_repeat()
        self._fit([self._result(record) for record in self.records])

    def predict(self, model: Model, weights: WeightsSpec | None) -> Prediction | None:
        """The expected score of training a model, from `weights` where given; None where nothing is known."""
        key = (model.name, weights.tag if weights else "")
        if key in self._here:
            value, seeds = self._here[key]
            again = self.repeat * math.sqrt(1 + 1 / seeds)  # of one more, beside the mean of those
            return Prediction(value, again, self.repeat / math.sqrt(seeds))
        if self._level is None:
            return None
        if key in self._advantages:
            return self._prediction(*self._advantages[key])
        group = (model.spec.family, weights is not None)
        if group not in self._unmeasured:  # asked for thousands of models of few groups
            mean, variance = self._family(group)
            self._unmeasured[group] = self._prediction(mean, variance + self._spread.model**2)
        usual = self._unmeasured[group]
        start = self.published.advantage(model, weights)
        return Prediction(usual.mean + start, usual.deviation, usual.own)

    def _prediction(self, advantage: float, variance: float) -> Prediction:
        """That of a model whose advantage has this variance."""
        assert self._level is not None  # the caller has looked
        level, level_variance = self._level
        own = variance + self._spread.rest**2
        whole = TAILS * math.sqrt(level_variance + own)
        return Prediction(level + advantage, whole, TAILS * math.sqrt(own))

    def results_of(self, model: Model, weights: WeightsSpec | None) -> list[Evidence]:
        """The measured results of the very model, the nearest problem first."""
        key = (model.name, weights.tag if weights else "")
        found = [record for record in self.records if (record.model, record.weights) == key]
        return sorted(found, key=lambda record: sum(d * d for d in self._distance(record.problem)))

    @property
    def least(self) -> float:
        """What one who guesses reaches, where there are classes to guess."""
        output = self._problem.output
        return 1 / output.count if isinstance(output, Classes) and self.scale.unit == "fraction" else 0.0

    def is_measured_here(self, model: Model, weights: WeightsSpec | None) -> bool:
        """Whether the model was measured on the very problem."""
        return (model.name, weights.tag if weights else "") in self._here

    # -- evidence, sorted --

    def _result(self, record: Evidence) -> _Result:
        distance = self._distance(record.problem)
        likeness = self._likeness(record.batch_size)
        weight, own = (likeness * _nearness(distance, reach) for reach in (REACH, OWN_REACH))
        place = _Place(record.dataset or record.source, distance, weight, own)
        assert record.score is not None  # those without were left out
        return _Result((record.model, record.weights), place, self.scale.to(record.score))

    def _likeness(self, batch: int | None) -> float:
        """How much a result counts that was trained in such steps: of few samples, normalisation fails."""
        decades = math.log10(min(batch or AMPLE, AMPLE) / min(self._batch or AMPLE, AMPLE))
        return math.exp(-((decades / FEW_REACH) ** 2) / 2)

    def _distance(self, other: Problem) -> tuple[float, ...]:
        """Decades from the user's problem to another, in samples, classes and size; 0 where not known."""
        pairs = zip(features(other), features(self._problem), strict=True)
        return tuple(math.log10(there / here) if there and here else 0.0 for there, here in pairs)

    def _fit(self, results: Sequence[_Result]) -> None:
        """Difficulties and advantages in turn, each given the others, and the spreads they imply."""
        starts = {result.key: self._start(result.key) for result in results}
        means = dict(starts)
        for _ in range(ROUNDS if results else 1):
            difficulties = _difficulties(results, means)
            coefficients = self._regress(difficulties)
            observed = _observed(results, difficulties)
            self._shrink(observed, starts)
            means = {key: self._advantages[key][0] for key in starts}
            if results:
                self._spread = self._learn_spreads(observed, starts, difficulties, coefficients)
        self._look_here(results, means)

    def _look_here(self, results: Sequence[_Result], means: Mapping[Key, float]) -> None:
        """Results on the very problem stand above any regression."""
        pairs = zip(self.records, results, strict=True)
        found: dict[Key, list[tuple[float, int]]] = defaultdict(list)
        for record, result in pairs:
            if record.problem == self._problem and self._problem.samples:
                found[result.key].append((result.value, record.seeds or 1))
        for key, values in found.items():
            seeds = sum(count for _, count in values)
            self._here[key] = sum(value * count for value, count in values) / seeds, seeds
        if self._here:
            rest = [value - means[key] for key, (value, _) in self._here.items()]
            self._level = sum(rest) / len(rest), self._spread.rest**2 / len(rest)

    def _learn_repeat(self) -> float:
        """The deviation of one more result on the same data, by what seeds were seen to differ."""
        squares = [
            (record.seeds - 1, (record.spread * self.scale.steepness(record.score)) ** 2)
            for record in self.records
            if record.spread is not None and record.seeds > 1 and record.score is not None
        ]
        return pooled(self.scale.repeat, squares)

    # -- difficulty --

    def _regress(self, difficulties: Mapping[_Place, float]) -> list[float]:
        """Bayesian linear regression, whose intercept is the user's problem: distances count from there."""
        variance = self._spread.problem**2
        published = self.published.level()
        if published is None and not difficulties:
            return []
        rows = [
            ([1.0, *place.distance], place.weight * share / variance, difficulty)
            for (place, share), difficulty in zip(_shares(difficulties), difficulties.values(), strict=True)
        ]
        means, precisions = [0.0], [0.0]
        if published is not None:
            rows.append(
                ([1.0, *published.distance], 1 / (KNOWN_LEVEL * published.deviation) ** 2, published.mean)
            )
        else:
            means = [sum(difficulties.values()) / len(difficulties)]
            precisions = [1 / (OPEN_LEVEL**2 * variance)]
        means += [mean for mean, _ in self.scale.slopes]
        precisions += [1 / deviation**2 for _, deviation in self.scale.slopes]
        size = len(means)
        matrix = [[precisions[i] if i == j else 0.0 for j in range(size)] for i in range(size)]
        vector = [precision * mean for precision, mean in zip(precisions, means, strict=True)]
        for row, weight, difficulty in rows:
            for i in range(size):
                vector[i] += weight * row[i] * difficulty
                for j in range(size):
                    matrix[i][j] += weight * row[i] * row[j]
        coefficients = solve(matrix, vector)
        intercept_variance = solve(matrix, [1.0] + [0.0] * (size - 1))[0]
        self._level = coefficients[0], intercept_variance + variance
        return coefficients

    # -- advantages --

    def _shrink(self, observed: Mapping[Key, Pairs], starts: Mapping[Key, float]) -> None:
        """Families from all that their models show, then models towards their families."""
        model_variance, rest_variance = self._spread.model**2, self._spread.rest**2
        shown: dict[Key, tuple[float, float]] = {}
        members: dict[Group, Pairs] = defaultdict(list)
        for key, start in starts.items():
            weight = sum(w for _, w in observed.get(key, ()))
            mean = sum((value - start) * w for value, w in observed.get(key, ())) / weight if weight else 0.0
            shown[key] = mean, weight
            if weight:
                members[self._group(key)].append((mean, model_variance + rest_variance / weight))
        self._families = {}
        for group, pairs in members.items():
            precision = 1 / self._family_variance(group) + sum(1 / variance for _, variance in pairs)
            mean = sum(mean / variance for mean, variance in pairs) / precision
            self._families[group] = mean, 1 / precision
        for key, (mean, weight) in shown.items():
            family, family_variance = self._family(self._group(key))
            precision = 1 / model_variance + weight / rest_variance
            drawn = 1 / (model_variance * precision)
            value = starts[key] + drawn * family + (1 - drawn) * mean
            self._advantages[key] = value, 1 / precision + drawn**2 * family_variance

    def _start(self, key: Key) -> float:
        """A model's advantage before any result; nought where it, or its weights, are not installed."""
        model = self._models.get(key[0])
        weights = next((w for w in model.weights if w.tag == key[1]), None) if model else None
        if model is None or bool(key[1]) != (weights is not None):
            return 0.0
        return self.published.advantage(model, weights)

    def _group(self, key: Key) -> Group:
        model = self._models.get(key[0])
        return model.spec.family if model else "", bool(key[1])

    def _family(self, group: Group) -> tuple[float, float]:
        return self._families.get(group) or (0.0, self._family_variance(group))

    def _family_variance(self, group: Group) -> float:
        return (self.published.deviation(pretrained=group[1]) or self._spread.family) ** 2

    def _learn_spreads(
        self,
        observed: Mapping[Key, Pairs],
        starts: Mapping[Key, float],
        difficulties: Mapping[_Place, float],
        coefficients: Sequence[float],
    ) -> Spread:
        """Each spread from the squares of what is left over, starting from that of public tables."""
        start = self.scale.spread
        rest = [(w, (v - self._advantages[key][0]) ** 2) for key, pairs in observed.items() for v, w in pairs]
        models = []
        for key in observed:
            mean, variance = self._advantages[key]
            models.append((1.0, (mean - starts[key] - self._family(self._group(key))[0]) ** 2 + variance))
        problems = []
        for place, share in _shares(difficulties):
            steps = zip(coefficients[1:], place.distance, strict=True)
            expected = coefficients[0] + sum(slope * d for slope, d in steps)
            problems.append((share, (difficulties[place] - expected) ** 2))
        return Spread(
            problem=pooled(start.problem, problems),
            family=start.family,
            model=pooled(start.model, models),
            rest=pooled(start.rest, rest),
        )


def _nearness(distance: Sequence[float], reach: Sequence[float]) -> float:
    """How much a result counts that is so many decades away."""
    squares = sum((decades / each) ** 2 for decades, each in zip(distance, reach, strict=True))
    return max(FAINTEST, math.exp(-squares / 2))


def _difficulties(results: Iterable[_Result], means: Mapping[Key, float]) -> dict[_Place, float]:
    """Each place's mean score once its models' advantages are taken off."""
    left: dict[_Place, list[float]] = defaultdict(list)
    for result in results:
        left[result.place].append(result.value - means[result.key])
    return {place: sum(values) / len(values) for place, values in left.items()}


def _observed(results: Sequence[_Result], difficulties: Mapping[_Place, float]) -> dict[Key, Pairs]:
    """For each model its advantage in each data set, with a weight.

    Several sizes of one data set count as one. A model without rivals there says nothing of itself.
    """
    rivals = Counter(place for place, _ in {(result.place, result.key) for result in results})
    found: dict[tuple[Key, str], Pairs] = defaultdict(list)
    for result in results:
        weight = result.place.own * (1 - 1 / rivals[result.place])
        if weight:
            gap = result.value - difficulties[result.place]
            found[result.key, result.place.dataset].append((gap, weight))
    observed: dict[Key, Pairs] = defaultdict(list)
    for (key, _), pairs in found.items():
        mean = sum(value * weight for value, weight in pairs) / sum(weight for _, weight in pairs)
        observed[key].append((mean, max(weight for _, weight in pairs)))
    return observed


def _shares(places: Iterable[_Place]) -> list[tuple[_Place, float]]:
    """Each place with the share that it has in its data set."""
    listed = list(places)
    sizes = Counter(place.dataset for place in listed)
    return [(place, 1 / sizes[place.dataset]) for place in listed]
