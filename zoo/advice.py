"""What a finished, or interrupted, training gives reason to change: read from its course, with the command.

Every finding rests on figures of `metrics.jsonl` that its reason names. What these do not show is not said.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import msgspec

from zoo.commands import Commands
from zoo.errors import ZooError
from zoo.recipes import resolve_recipe
from zoo.registry import Registry
from zoo.runs import Run, RunRecord
from zoo.specs import Classes, Recipe, TaskSpec
from zoo.units import format_metric

FEWEST = 4  # evaluations from which a course can be told: two points are no curve, three no trend
WAITING = 0.25  # of the time: a device that is idle for longer is worth the work of changing the data
GAP = 0.05  # of accuracy between training and validation: a seed alone makes one or two in a hundred
DIVERGED = 2.0  # times the training loss that unseen samples cost; regularisation keeps them closer than that
WORSE = 1.15  # times the best at the end: more than the last epochs of a settled training differ by
SKILL = 0.1  # of the way from the trivial predictor to perfect: below it, next to nothing was learned
NEAR = 0.5  # of the loss of guessing is left at the end: nearer to knowing nothing than to knowing all
GUESSING = 1.2  # times the loss of guessing all classes alike: a model that knows nothing is not so sure
SPIKE = 2.0  # times the smallest loss before: noise between epochs stays far below a doubling
SPIKE_SHARE = 0.1  # of the first loss, by which a spike must rise: close to nought, any ripple is a doubling
STRAIGHT = 0.98  # correlation of the loss with the learning rate's sum: curves that bend have less
SLOW = 0.3  # of the first loss is all that was gained, where a learning rate is too small
FALLING = 0.8  # of all evaluations have a smaller loss than the one before, in a steady fall
UNFINISHED = 1 / 3  # of the error was gained in the last quarter: a schedule's end alone gains up to that
UNFINISHED_SHARE = 0.02  # of accuracy, at least: less is not worth a second training
PLATEAU = 0.4  # of the training without a better validation
PLATEAU_ROWS = 10  # evaluations from which so large a share is no chance
SETTLED = 0.02  # of the loss: gains below that are ripples


class Advice(msgspec.Struct, frozen=True):
    """What was wrong, by which figures, and the command that does something about it."""

    title: str
    reason: str
    command: str


def advise(run: Run, registry: Registry) -> list[Advice]:
    """What the course of a run gives reason to change, the gravest first; empty where all went well.

    Raises `UnknownNameError` where the run's task is not installed.
    """
    record = run.record
    course = Course(record, run.history, registry.task(record.problem.task))
    if not course.rows:
        return []
    commands = Commands(record, _own_recipe(record, registry))
    found = [*_of_rate(course, commands), *_of_fit(course, commands), *_of_data(course, commands)]
    return found or list(_of_length(course, commands))


def _own_recipe(record: RunRecord, registry: Registry) -> Recipe:
    """What a training takes that changes nothing; the defaults where the model is no longer installed."""
    try:
        model, _ = registry.model(record.model)
        samples, finetune = record.problem.samples, bool(record.weights)
        return resolve_recipe(model, record.problem.task, samples=samples, finetune=finetune)
    except ZooError:
        return Recipe()


# -- what happened ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Course:
    """A run's evaluations; errors are the primary metric turned so that less is better."""

    record: RunRecord
    rows: Sequence[Mapping[str, Any]]
    task: TaskSpec

    @property
    def recipe(self) -> Recipe:
        """The settings it was trained with."""
        return self.record.recipe

    @property
    def losses(self) -> list[float]:
        """The mean training loss before each evaluation."""
        return [row["loss"] for row in self.rows]

    @property
    def errors(self) -> list[float]:
        """On the validation split; of a fraction what is missing to one."""
        return [self.error_of(row["validation"][self.task.metric]) for row in self.rows]

    @property
    def unseen(self) -> list[float]:
        """The validation loss in the unit of the training loss; empty where the task does not tell."""
        return [
            row["validation"]["cross_entropy"] for row in self.rows if "cross_entropy" in row["validation"]
        ]

    def error_of(self, value: float) -> float:
        """A value of the primary metric as an error."""
        if not self.task.maximize:
            return value
        return 1 - value if self.task.unit == "fraction" else -value

    @property
    def best(self) -> int:
        """The evaluation with the smallest error, the first of several."""
        errors = self.errors
        return errors.index(min(errors))

    @property
    def guess(self) -> float | None:
        """The loss of guessing all classes alike; None where there are none."""
        output = self.record.problem.output
        return math.log(output.count) if isinstance(output, Classes) and output.count > 1 else None

    @property
    def skill(self) -> float | None:
        """How far the best is from the trivial predictor's error to none; None where that is not known."""
        trivial = self.record.baseline.get("metrics", {}).get(self.task.metric)
        if trivial is None:
            return None
        error = self.error_of(trivial)
        return 1 - min(self.errors) / error if error > 0 else None

    @property
    def calm(self) -> list[float]:
        """The loss with the least noise: on the validation split, else on the batches of training."""
        return self.unseen or self.losses

    @property
    def steady(self) -> bool:
        """Whether the loss fell at nearly every evaluation."""
        losses = self.calm
        falls = [after < before for before, after in pairwise(losses)]
        return bool(falls) and sum(falls) >= FALLING * len(falls)

    def told(self, error: float) -> str:
        """An error as the primary metric is read."""
        value = error
        if self.task.maximize:
            value = 1 - error if self.task.unit == "fraction" else -error
        return f"{self.task.metric} {format_metric(value, self.task.unit)}"


# -- findings ---------------------------------------------------------------------------------


def _of_rate(course: Course, commands: Commands) -> Iterator[Advice]:
    """A learning rate that is too large or too small."""
    large, lr = _too_large(course), course.recipe.lr
    if large:
        changes = (
            {"lr": _short(lr / 10)} if _learned_nothing(course) else {"lr": _short(lr / 3), "grad_clip": 1}
        )
        yield Advice("learning rate too large", large, commands.train(**changes))
    elif small := _too_small(course):
        yield Advice("learning rate too small", small, commands.train(lr=_short(lr * 10)))


def _short(value: float) -> float:
    return float(f"{value:.2g}")


def _too_large(course: Course) -> str:
    losses, guess = course.losses, course.guess
    if guess is not None and losses[-1] > GUESSING * guess and not course.steady:
        return f"the training loss ends at {losses[-1]:.3g}, where guessing alone costs {guess:.3g}"
    if len(losses) < FEWEST:
        return ""
    for number in range(1, len(losses)):
        least = min(losses[:number])
        if losses[number] > SPIKE * least and losses[number] - least > SPIKE_SHARE * losses[0]:
            step = course.rows[number]["step"]
            return f"the training loss jumped from {least:.3g} to {losses[number]:.3g} before step {step:,}"
    if min(losses[1:]) > (1 - SETTLED) * losses[0] and not course.steady:
        return f"the training loss never fell below the {losses[0]:.3g} of the first evaluation"
    return ""


def _too_small(course: Course) -> str:
    """A curve whose fall follows the learning rate, and nothing else: it never came near a floor."""
    losses, rates = course.calm, [row["lr"] for row in course.rows]
    if len(losses) < FEWEST or not course.steady:
        return ""
    gained = 1 - losses[-1] / losses[0] if losses[0] > 0 else 0.0
    travelled = [sum(rates[: number + 1]) for number in range(len(rates))]
    if 0 < gained < SLOW and _correlation(travelled, losses) < -STRAIGHT:
        return (
            f"the {'validation' if course.unseen else 'training'} loss fell by {100 * gained:.2g}% in all, "
            "along a straight line"
        )
    return ""


def _correlation(one: Sequence[float], other: Sequence[float]) -> float:
    means = sum(one) / len(one), sum(other) / len(other)
    pairs = [(a - means[0], b - means[1]) for a, b in zip(one, other, strict=True)]
    spread = math.sqrt(sum(a * a for a, _ in pairs) * sum(b * b for _, b in pairs))
    return sum(a * b for a, b in pairs) / spread if spread else 0.0


def _of_fit(course: Course, commands: Commands) -> Iterator[Advice]:
    """A model that learned its training samples by heart, or too little of them."""
    over = _overfitted(course)
    if over:
        yield Advice(
            "overfitting", f"{over}; regularise more, or give it more samples", commands.regularised()
        )
        reason = "a smaller model has less room for what holds of the training samples alone"
        yield Advice("overfitting", reason, commands.recommend("size"))
    elif not _too_large(course) and not _too_small(course):
        yield from _underfitted(course, commands)


def _overfitted(course: Course) -> str:
    losses, errors, best = course.losses, course.errors, course.best
    reached = course.told(errors[best])
    known = _known_by_heart(course)
    if known is not None and errors[best] > GAP + known:
        return (
            f"by the training loss of {losses[-1]:.2g} it knows at least {1 - known:.1%} of the training "
            f"samples, but reaches {reached} on validation"
        )
    if len(losses) < FEWEST:
        return ""
    unseen, still = course.unseen, losses[-1] < losses[best] / WORSE
    large = errors[best] > GAP or course.task.unit != "fraction"
    if unseen and large and unseen[-1] > max(DIVERGED * losses[-1], WORSE * min(unseen)):
        return (
            f"the loss is {losses[-1]:.2g} on training and {unseen[-1]:.2g} on validation, where it was once "
            f"{min(unseen):.2g}"
        )
    recent = errors[-max(1, len(errors) // 5) :]
    late = sum(recent) / len(recent)
    if (
        still
        and late > WORSE * errors[best]
        and (course.task.unit != "fraction" or late - errors[best] > GAP)
    ):
        step = course.rows[best]["step"]
        return f"validation was best at step {step:,}, {reached}, and worsened while the training loss fell"
    return ""


def _known_by_heart(course: Course) -> float | None:
    """A bound on the share of training samples that are mistaken; None where the loss does not tell.

    A sample whose class has a probability below one half costs at least ln 2, and every other is right.
    """
    weighted = course.recipe.class_weights != "none"
    if course.task.metric != "accuracy" or weighted:
        return None
    return min(1.0, course.losses[-1] / math.log(2))


def _learned_nothing(course: Course) -> bool:
    return course.skill is not None and course.skill < SKILL


def _underfitted(course: Course, commands: Commands) -> Iterator[Advice]:
    """A training that ended before the model knew what it could."""
    if _learned_nothing(course):
        name = course.record.baseline.get("name", "the trivial predictor")
        last = course.rows[-1]["step"]
        yield Advice(
            "underfitting",
            f"{course.told(min(course.errors))} at best is next to nothing beyond the {name}, after "
            f"{last:,} step{'' if last == 1 else 's'}",
            commands.longer(5),
        )
        half = len(course.rows) // 2
        if half and min(course.losses[half:]) > (1 - SETTLED) * min(course.losses[:half]):
            reason = "the training loss does not fall any more; a larger model may learn what this one cannot"
            yield Advice("underfitting", reason, commands.recommend("accuracy"))
    elif course.record.state == "finished" and (why := _unfitted(course) or _unfinished(course)):
        yield Advice("underfitting", why, commands.longer(2))


def _unfitted(course: Course) -> str:
    recipe, guess = course.recipe, course.guess
    if guess is None or recipe.label_smoothing or recipe.mixup or recipe.cutmix:  # no loss comes near nought
        return ""
    loss = min([course.losses[-1], *course.unseen[-1:]])
    if loss < NEAR * guess:
        return ""
    return (
        f"the loss ends at {loss:.3g}, where guessing alone costs {guess:.3g}; more steps, or a larger model"
    )


def _unfinished(course: Course) -> str:
    losses, errors, quarter = course.losses, course.errors, max(1, len(course.rows) // 4)
    if len(losses) < FEWEST:
        return ""
    before, after = min(errors[:-quarter]), min(errors[-quarter:])
    least = UNFINISHED_SHARE if course.task.unit == "fraction" else 0.0
    falling = min(losses[-quarter:]) < min(losses[:-quarter])
    if not falling or before - after <= least or after >= (1 - UNFINISHED) * before:
        return ""
    return (
        f"it was still learning at the end: {course.told(before)} became {course.told(after)} in the last "
        "quarter"
    )


def _of_data(course: Course, commands: Commands) -> Iterator[Advice]:
    """A device that waits for its batches."""
    rows = course.rows[1:] or course.rows  # caches fill before the first evaluation
    before = [0.0, *(row["seconds"] for row in course.rows)][-len(rows) - 1 :]
    times = [row["seconds"] - start for row, start in zip(rows, before, strict=False)]
    waited = sum(row.get("waiting", 0.0) * seconds for row, seconds in zip(rows, times, strict=True))
    share = waited / sum(times) if sum(times) > 0 else 0.0
    if share > WAITING:
        yield Advice(
            "data-bound",
            f"{share:.0%} of the time went into waiting for the next batch; smaller samples, a faster disk "
            "for ZOO_HOME, or a larger model for the same time",
            commands.lighter(),
        )


def _of_length(course: Course, commands: Commands) -> Iterator[Advice]:
    """A training that went on after there was nothing more to gain."""
    rows, best, unseen = course.rows, course.best, course.unseen
    if len(rows) < PLATEAU_ROWS or course.recipe.patience is not None or course.record.state != "finished":
        return
    past = int((1 - PLATEAU) * len(rows))
    gained = unseen and min(unseen[past:]) < (1 - SETTLED) * min(unseen[:past])
    if best < past and not gained:
        yield Advice(
            "plateau",
            f"no better validation after step {rows[best]['step']:,} of {rows[-1]['step']:,}: "
            f"{course.told(course.errors[best])}",
            commands.train(patience=max(3, len(rows) // 5)),
        )
