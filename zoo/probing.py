"""Short trainings of the most promising models, which tell better than any table which one suits the data.

Successive halving (Jamieson & Talwalkar 2016): each contender trains for an equal share of half the time, its
whole schedule run through in it. Of those whose schedule had to be cut for that, the most promising, at most
half of all, train for the other half, and what is left goes to the best that is still cut. What they reach
on the validation split moves the expected scores by as much as it can be trusted; the test split is not
looked at.
"""

from __future__ import annotations

import importlib
import math
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from zoo import api
from zoo.data.dataset import Dataset
from zoo.errors import TrainingError, ZooError
from zoo.limits import Limits
from zoo.recommender.answer import Recommendation
from zoo.recommender.cost import Z80, make_estimate
from zoo.recommender.filter import Candidate, fitted
from zoo.recommender.local import LocalFiles
from zoo.recommender.rank import Question
from zoo.recommender.reasons import format_score
from zoo.recommender.render import plural
from zoo.recommender.score import Prediction
from zoo.specs import Estimate
from zoo.units import format_seconds

CONTENDERS = 3  # of the first ones; another family's best is added
LEAST_SECONDS = 4.0  # for a training that is to tell anything
AGAIN = 1.3  # times as long as before is the least that tells something new
HASTE = 0.5  # of the time that was allowed, above which it may have cut a training short
FROZEN_DEVIATION = 0.5  # between what the head alone reaches and the whole model


@dataclass(frozen=True)
class Trial:
    """A short training: its score on the validation split, and the share of the schedule's steps it took."""

    candidate: Candidate
    score: float
    share: float
    seconds: float
    judged: int  # samples of the validation split
    frozen: bool  # whether only the head was trained


@dataclass(frozen=True)
class Probed:
    """An answer in which trials have had their say; `seconds` is what they took."""

    answer: Recommendation
    trials: tuple[Trial, ...]
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """As `zoo recommend --json` has it, with the trials."""
        trials = [
            {
                "model": trial.candidate.name,
                "validation": trial.score,
                "share": round(trial.share, 4),
                "seconds": round(trial.seconds, 2),
                "frozen": trial.frozen,
            }
            for trial in self.trials
        ]
        return {**self.answer.as_json(), "probe": {"seconds": round(self.seconds, 2), "trials": trials}}


def probe(
    ask: Callable[[], Question], dataset: Dataset, seconds: float, *, tell: Callable[[str], object] = str
) -> Probed:
    """What `ask` gives, with the order that short trainings on `dataset` make probable.

    `ask` is asked again afterwards, since trials teach how long things take here. `tell` gets a line for each
    trial. Raises `TrainingError` where there is nothing to try, or no time for it.
    """
    importlib.import_module("zoo.training.trainer")  # which takes seconds that are no trial's
    began = time.perf_counter()
    question = ask()
    contenders = find_contenders(question, int(seconds // LEAST_SECONDS))
    if len(contenders) < 2:
        least = format_seconds(2 * LEAST_SECONDS)
        reason = f"{format_seconds(seconds)} is too short for two trainings; at least {least}"
        few = "fewer than two models may be recommended: there is nothing to compare"
        raise TrainingError(f"--probe: {few if len(question.ranked) < 2 else reason}")
    trials: dict[str, Trial] = {}
    rounds = (seconds / 2, len(contenders)), (seconds, (len(contenders) + 1) // 2), (seconds, 1)
    for number, (end, most) in enumerate(rounds):
        chosen = contenders if number == 0 else _unfinished(question, contenders, trials)[:most]
        # the quickest first: what they do not need, the others get
        chosen = sorted(chosen, key=lambda candidate: _whole_seconds(candidate, trials))
        for place, candidate in enumerate(chosen):
            left = (began + end - time.perf_counter()) / (len(chosen) - place)
            before = trials.get(candidate.name)
            if left < (AGAIN * before.seconds if before else LEAST_SECONDS / 2):
                continue
            trial = try_out(question, candidate, dataset, left, frozen=number == 0 and _has_head(candidate))
            if trial is not None:
                tell(_line(question, trial))
                trials[candidate.name] = _surer(question, before, trial)
    if not trials:
        raise TrainingError("--probe: no training came to an end in time; give it more")
    taken = time.perf_counter() - began
    return Probed(_answer(ask(), trials, taken), tuple(trials.values()), taken)


def find_contenders(question: Question, most: int) -> list[Candidate]:
    """Whom a probe tries: the first three and the best of another family, `most` in all.

    Only those that are known to fit and need no download.
    """
    here = LocalFiles()
    fitting = [c for c in question.ranked if c.fits and (c.weights is None or here.has(c.weights))]
    first = fitting[:CONTENDERS]
    families = {candidate.model.spec.family for candidate in first}
    others = [c for c in fitting[CONTENDERS:] if c.model.spec.family not in families]
    return [*first, *(others or fitting[CONTENDERS:])[:1]][: max(0, most)]


def _unfinished(
    question: Question, contenders: Sequence[Candidate], trials: dict[str, Trial]
) -> list[Candidate]:
    """Those whose schedule was cut, or whose head alone was trained, the most promising first."""
    worth = _worth(question, trials) if trials else {}
    tried = [candidate for candidate in contenders if candidate.name in trials]
    tried.sort(key=lambda candidate: -worth[candidate.name].mean)
    return [c for c in tried if trials[c.name].share < 1 or trials[c.name].frozen]


def _surer(question: Question, one: Trial | None, other: Trial) -> Trial:
    """That of two trials of a model which says more of its whole training."""
    return one if one and _foretold(question, one)[1] < _foretold(question, other)[1] else other


def _whole_seconds(candidate: Candidate, trials: dict[str, Trial]) -> float:
    """What the whole schedule takes, by a trial if there was one."""
    trial = trials.get(candidate.name)
    if trial is not None:
        return trial.seconds / trial.share
    return candidate.seconds.value if candidate.seconds else math.inf


def _has_head(candidate: Candidate) -> bool:
    return candidate.weights is not None and bool(candidate.model.spec.head)


def try_out(
    question: Question, candidate: Candidate, dataset: Dataset, seconds: float, *, frozen: bool
) -> Trial | None:
    """A training that ends in so many seconds; None where it failed, which rules nothing out."""
    recipe = candidate.plan.recipe
    settings: dict[str, Any] = {**fitted(recipe)}
    if frozen:
        settings["head_epochs"] = float(recipe.epochs)
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="zoo-probe-") as folder:
        try:
            run = api.train(
                candidate.name,
                dataset,
                output=Path(folder, "run"),
                settings=settings,
                limits=Limits(max_seconds=seconds, trial=True),
            )
        except ZooError:
            return None
    record, metric = run.record, question.task.metric
    planned = recipe.total_steps(dataset.problem.samples or 0)
    patient = recipe.patience is not None and record.seconds < HASTE * seconds  # and so ended of itself
    whole = record.steps >= planned or patient
    return Trial(
        candidate=candidate,
        score=record.best[metric],
        share=1.0 if whole else max(record.steps, 1) / planned,
        seconds=time.perf_counter() - began,
        judged=min(dataset.size("validation"), recipe.eval_samples or sys.maxsize),
        frozen=frozen,
    )


# -- what trials say --------------------------------------------------------------------------


Worth = dict[str, Prediction]  # by name


def _worth(question: Question, trials: dict[str, Trial], others: Sequence[Candidate] = ()) -> Worth:
    """What is to be expected of each candidate by what was known and what was seen.

    How hard the data is changes all trials alike: it is learnt from them alone, and says nothing about their
    order.
    """
    seen = []
    level, precision = 0.0, 0.0
    for name, trial in trials.items():
        known, (value, noise) = _known(question, trial.candidate), _foretold(question, trial)
        weight = 1 / (known.own**2 + noise)
        level, precision = level + weight * (value - known.mean), precision + weight
        seen.append((name, known, value, noise))
    level /= precision
    found = {}
    for name, known, value, noise in seen:
        trust = known.own**2 / (known.own**2 + noise)
        expected = known.mean + level
        deviation = math.sqrt(trust * noise + (1 - trust) ** 2 / precision)
        found[name] = Prediction(expected + trust * (value - expected), deviation, math.sqrt(trust * noise))
    for candidate in others:
        if candidate.name not in found:
            known = _known(question, candidate)
            deviation = math.sqrt(known.own**2 + 1 / precision)
            found[candidate.name] = Prediction(known.mean + level, deviation, known.own)
    return found


def _known(question: Question, candidate: Candidate) -> Prediction:
    """What was foretold of a candidate, or where no result speaks of it, what studies say of it."""
    if candidate.prediction is not None:
        return candidate.prediction
    spread = question.scores.scale.spread
    return Prediction(candidate.merit, math.inf, math.hypot(spread.model, spread.rest))


def _foretold(question: Question, trial: Trial) -> tuple[float, float]:
    """What a trial says of a whole training, on the scale of scores, and its variance."""
    scale, frozen = question.scores.scale, FROZEN_DEVIATION if trial.frozen else 0.0
    value, variance = scale.seen(trial.score, trial.judged)
    lost, deviation = scale.uncut(-math.log(min(1.0, trial.share)))
    return value + lost, variance + deviation**2 + frozen**2 + question.scores.repeat**2


def _answer(question: Question, trials: dict[str, Trial], seconds: float) -> Recommendation:
    """The tried ones and those that were recommended, in the order that is now probable."""
    answer = question.answer()
    known = {candidate.name: candidate for candidate in question.candidates}
    recommended = (choice.name for choice in answer.recommendations)
    names = [name for name in dict.fromkeys([*trials, *recommended]) if name in known]
    note = f"the probe took {format_seconds(seconds)} for {plural(len(trials), 'model')}"
    if gone := [name for name in trials if name not in known]:
        note += f", and taught that a limit rules out {', '.join(gone)}"
    answer = msgspec.structs.replace(answer, notes=(*answer.notes, note))
    if not names:
        return answer
    worth = _worth(question, trials, [known[name] for name in names])
    order = sorted(names, key=lambda name: question.price(known[name]) - worth[name].mean)
    baseline = _cheapest(order[1:], known)
    best = worth[order[0]]
    tied = [
        name
        for name in order
        if name == order[0] or best.mean - worth[name].mean <= Z80 * math.hypot(best.own, worth[name].own)
    ]
    choices = []
    for name in order:
        choice = question.choice(known[name], known[order[0]], is_baseline=name == baseline)
        score, trial = _estimate(question, worth[name]), trials.get(name)
        told = (f"probed: {_line(question, trial)}",) if trial else ("not tried by the probe",)
        choices.append(msgspec.structs.replace(choice, score=score, reasons=(*told, *choice.reasons)))
    return msgspec.structs.replace(
        answer,
        recommendations=tuple(choices),
        tied=tuple(tied) if len(tied) > 1 else (),
        probe_seconds=None,
        top=len(choices),
    )


def _cheapest(names: Sequence[str], known: dict[str, Candidate]) -> str:
    """That of the least time."""
    times = {name: known[name].seconds for name in names}
    return min(names, key=lambda name: cost.value if (cost := times[name]) else math.inf, default="")


def _estimate(question: Question, worth: Prediction) -> Estimate:
    """The score of a whole training, as an 80% interval."""
    scale, mean = question.scores.scale, worth.mean
    reach = Z80 * math.hypot(worth.deviation, question.scores.repeat)
    low, high = sorted(scale.back(mean + sign * reach) for sign in (-1, 1))
    method = "what was expected, moved by a short training as far as it can be trusted"
    return make_estimate(scale.back(mean), low, high, "a probe on this machine", method)


def _line(question: Question, trial: Trial) -> str:
    share = "its whole schedule" if trial.share >= 1 else f"{max(trial.share, 0.01):.0%} of its steps"
    what = f"the head alone, {share}" if trial.frozen else share
    score = format_score(trial.score, question.task.unit)
    reached = f"validation {question.task.metric} {score}"
    return f"{trial.candidate.name}: {reached} after {what}, {format_seconds(trial.seconds)}"
