"""What published studies found, as `priors.toml` states it: all there is before anything is measured."""

from __future__ import annotations

import math
import re
from functools import cache

import msgspec

from zoo.errors import PluginError
from zoo.manifests import read_record
from zoo.recipes import resolve_recipe
from zoo.recommender.facts import shape_of
from zoo.recommender.scale import Scale
from zoo.recommender.scaling import LossLaw
from zoo.recommender.speed import SpeedLaw
from zoo.registry import Model
from zoo.specs import Classes, Output, Problem, Record, TokenInput, Vector, WeightsSpec
from zoo.units import format_count

UNSTATED_SAMPLES = 100_000  # of a pretraining that no record tells the size of


class Difficulty(Record, frozen=True, kw_only=True):
    """How well models trained from scratch do at a task's problems, which are like these."""

    task: str
    mean: float
    deviation: float
    samples: int
    classes: int
    size: int
    source: str


class Level(msgspec.Struct, frozen=True):
    """A study's mean score and deviation, and how many decades its problems are from the user's."""

    mean: float
    deviation: float
    distance: tuple[float, ...]


class FamilyPrior(Record, frozen=True, kw_only=True):
    """By how much some families do better than the others from scratch."""

    task: str
    families: tuple[str, ...]
    mean: float
    claim: str
    source: str
    below_samples: int | None = None

    def holds(self, problem: Problem) -> bool:
        """Whether the problem is one of those that the claim is about."""
        small = self.below_samples is None or (
            problem.samples is not None and problem.samples < self.below_samples
        )
        return small and problem.task == self.task


class Transfer(Record, frozen=True, kw_only=True):
    """What pretraining is worth: by its samples, and by the accuracy that it reached on `metric`.

    `typical` is the accuracy from which others count, `unstated` what is taken where none is known;
    `scratch_slope` is for the same architecture when it is trained from scratch. Images of `full_side` pixels
    or more profit wholly, those of `no_side` not at all; from scratch, those of the `scratch_` sides.
    """

    task: str
    metric: str
    typical: float
    unstated: float
    slope: float
    scratch_slope: float
    per_decade: float
    plenty: int
    per_decade_beyond: float
    full_side: int
    no_side: int
    scratch_full_side: int
    scratch_no_side: int
    deviation: float
    source: str
    gain_source: str

    def gain(self, pretraining: int, samples: int) -> float:
        """What pretraining on so many samples adds where there are `samples` of one's own."""
        near = _decades(min(pretraining, self.plenty), samples)
        beyond = _decades(pretraining, max(samples, self.plenty))
        return self.per_decade * near + self.per_decade_beyond * beyond

    def share(self, size: int, *, scratch: bool) -> float:
        """How much of all this images of so many pixels profit from; by judgement, as their logarithm."""
        least, most = self.no_side, self.full_side
        if scratch:
            least, most = self.scratch_no_side, self.scratch_full_side
        return min(1.0, max(0.0, math.log(math.sqrt(size) / least) / math.log(most / least)))


class Pretraining(Record, frozen=True, kw_only=True):
    """How many samples the pretraining saw whose weights have one of these words in tag or data set."""

    words: tuple[str, ...]
    samples: int


class Priors(Record, frozen=True, kw_only=True):
    """Everything in `priors.toml`."""

    difficulty: tuple[Difficulty, ...] = ()
    family: tuple[FamilyPrior, ...] = ()
    transfer: tuple[Transfer, ...] = ()
    pretraining: tuple[Pretraining, ...] = ()
    speed: tuple[SpeedLaw, ...] = ()
    loss: tuple[LossLaw, ...] = ()


@cache
def read_priors() -> Priors:
    """The priors that the package brings."""
    return read_record("zoo", "recommender/priors.toml", Priors)


class Published:
    """What the studies say about one problem."""

    def __init__(self, priors: Priors, problem: Problem, scale: Scale) -> None:
        self._problem, self._scale = problem, scale
        self._difficulty = next((p for p in priors.difficulty if p.task == problem.task), None)
        self._transfer = next((p for p in priors.transfer if p.task == problem.task), None)
        self._families = [prior for prior in priors.family if prior.holds(problem)]
        self.law = next((law for law in priors.loss if law.task == problem.task), None)  # of a model's loss
        self._typical = self._scale.to(self._transfer.typical) if self._transfer else 0.0
        size, transfer = features(problem)[2], self._transfer
        self._share = transfer.share(size, scratch=False) if transfer else 0.0
        self._scratch_share = transfer.share(size, scratch=True) if transfer else 0.0
        self._stated: dict[str, int] = {}
        self._claimed: dict[str, float] = {}
        self._sizes = {word: entry.samples for entry in priors.pretraining for word in entry.words}

    def level(self) -> Level | None:
        """What is known of the task's other problems, for models trained from scratch."""
        prior = self._difficulty
        if prior is None:
            return None
        there = (prior.samples, prior.classes, prior.size)
        pairs = zip(there, features(self._problem), strict=True)
        distance = tuple(math.log10(its / mine) if mine else 0.0 for its, mine in pairs)
        return Level(prior.mean, prior.deviation, distance)

    def advantage(self, model: Model, weights: WeightsSpec | None) -> float:
        """By how much a model is better than an average one from scratch, before it is measured."""
        transfer, samples = self._transfer, self._problem.samples
        if weights is None:
            family = model.spec.family
            if family not in self._claimed:  # asked for thousands of models of few families
                self._claimed[family] = sum(prior.mean for prior in self._claims(model, None))
            slope = self._scratch_share * transfer.scratch_slope if transfer else 0.0
            talent = slope * self._talent(model, None) if slope else 0.0
            return self._claimed[family] + talent + self._size(model)
        if transfer is None:
            return 0.0
        gain = transfer.gain(self._pretraining(weights), samples) if samples else 0.0
        return self._share * (gain + transfer.slope * self._talent(model, weights))

    def _size(self, model: Model) -> float:
        """What a law of the loss says for a model's size and for as much text as its recipe lets it see."""
        if self.law is None:
            return 0.0
        facts, samples, tokens = model.spec.facts, self._problem.samples, self._problem.input
        if facts is None or not samples or not isinstance(tokens, TokenInput):
            return 0.0
        try:
            recipe = resolve_recipe(model, self._problem.task, samples=samples)
        except PluginError:  # which those are told of who ask for its cost
            return 0.0
        length = recipe.length or tokens.length
        seen = recipe.total_steps(samples) * recipe.batch_size * length
        return self.law.advantage(facts.parameters, seen, samples * tokens.length)

    def _talent(self, model: Model, weights: WeightsSpec | None) -> float:
        """By how much a model, or these weights of it, stand above a typical one where it was pretrained.

        What is not stated for the weights is taken from the architecture's others.
        """
        assert self._transfer is not None  # both callers have looked
        metric = self._transfer.metric
        accuracy = weights.metrics.get(metric) if weights else None
        if accuracy is None:
            others = [w.metrics[metric] for w in model.weights if metric in w.metrics]
            accuracy = sum(others) / len(others) if others else self._transfer.unstated
        return self._scale.to(accuracy) - self._typical

    def deviation(self, pretrained: bool) -> float | None:
        """How sure the advantage of pretrained weights is; None for what the scale's spreads say."""
        return self._transfer.deviation if pretrained and self._transfer else None

    def sources(self, model: Model, weights: WeightsSpec | None) -> list[str]:
        """Whose findings enter the estimate for a model."""
        transfer = self._transfer
        found = [prior.source for prior in self._claims(model, weights)]
        found += [self.law.source] if self.law and weights is None else []
        if transfer and any(transfer.metric in w.metrics for w in model.weights):
            found.append(transfer.source)
        if transfer and weights is not None:
            found.append(transfer.gain_source)
        return found + ([self._difficulty.source] if self._difficulty else [])

    def reasons(self, model: Model, weights: WeightsSpec | None) -> list[str]:
        """What speaks for a model, a sentence each."""
        said = [f"{prior.claim} ({prior.source})" for prior in self._claims(model, weights)]
        transfer, samples = self._transfer, self._problem.samples
        if transfer is None or weights is None:
            return said
        pretraining = self._pretraining(weights)
        if samples and pretraining > samples:
            times = format_count(pretraining / samples)
            said.append(f"pretrained on about {format_count(pretraining)} samples, {times} times those here")
        if (accuracy := weights.metrics.get(transfer.metric)) is not None:
            said.append(f"{transfer.metric} {accuracy:.1%} where it was pretrained; {transfer.source}")
        return said

    def _claims(self, model: Model, weights: WeightsSpec | None) -> list[FamilyPrior]:
        """The findings about families that hold for a model; they are about training from scratch."""
        return [p for p in self._families if weights is None and model.spec.family in p.families]

    def _pretraining(self, weights: WeightsSpec) -> int:
        """How many samples weights were trained on, by their tag, data set or record; else a guess."""
        label = f"{weights.tag}_{weights.dataset}"
        if label not in self._stated:
            words = re.split(r"[_\s]+", label.lower())
            sizes = [self._sizes[word] for word in words if word in self._sizes]
            self._stated[label] = max(sizes, default=0)
        recorded = weights.problem.samples if weights.problem else None
        return self._stated[label] or recorded or UNSTATED_SAMPLES


def features(problem: Problem) -> tuple[int | None, int, int]:
    """Samples, classes (or steps to be predicted) and size: what problems are compared by."""
    size = shape_of(problem).size
    return problem.samples, _outputs(problem.output), size


def _outputs(output: Output) -> int:
    if isinstance(output, Vector):
        return output.size
    return output.count if isinstance(output, Classes) else output.length


def _decades(more: int, fewer: int) -> float:
    """Powers of ten by which the one is more than the other, if it is."""
    return max(0.0, math.log10(more / fewer))
