"""What a finished, or interrupted, training gives reason to change: read from its course, with the command.

Every finding rests on figures of `metrics.jsonl` that its reason names. What these do not show is not said.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec

from zoo.commands import Commands
from zoo.course import Course
from zoo.errors import ZooError
from zoo.recipes import resolve_recipe
from zoo.registry import Registry
from zoo.runs import Run, RunRecord
from zoo.specs import Recipe

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
UNFINISHED = 1 / 3  # of the error was gained in the last quarter: a schedule's end alone gains up to that
UNFINISHED_SHARE = 0.02  # of accuracy, at least: less is not worth a second training
PLATEAU = 0.4  # of the training without a better validation
PLATEAU_ROWS = 10  # evaluations from which so large a share is no chance
SETTLED = 0.02  # of the loss: gains below that are ripples

Sure = Literal["certain", "likely", "possible"]


class Advice(msgspec.Struct, frozen=True):
    """A finding: what was seen, what to do about it, and the command that does it.

    `sure` says how far to trust it: `certain` is what was counted. `figures` are the numbers of the reason,
    `examples` the samples that it is about.
    """

    title: str
    reason: str
    command: str
    remedy: str = ""
    sure: Sure = "likely"
    figures: dict[str, float] = {}
    examples: tuple[str, ...] = ()

    @property
    def told(self) -> str:
        """The reason, and what to do."""
        return "; ".join(filter(None, (self.reason, self.remedy)))


def advise(run: Run, registry: Registry) -> list[Advice]:
    """What the course of a run gives reason to change, the gravest first; empty where all went well.

    Raises `UnknownNameError` where the run's task is not installed.
    """
    record = run.record
    course = Course(record, run.history, registry.task(record.problem.task))
    if not course.rows:
        return []
    commands = Commands(record, own_recipe(record, registry))
    found = [*_of_rate(course, commands), *_of_fit(course, commands), *_of_data(course, commands)]
    return found or list(_of_length(course, commands))


def cut_short(run: Run, registry: Registry) -> list[Advice]:
    """What a training that ended before its recipe's last step gives reason to do."""
    record, commands = run.record, Commands(run.record, own_recipe(run.record, registry))
    if record.state != "finished":
        reason = f"it stopped after {record.steps:,} steps and is {record.state}"
        return [Advice("stopped early", reason, commands.resume(run.path), "go on with it", "certain")]
    planned = record.recipe.total_steps(record.problem.samples or 0)
    if record.steps >= planned or record.recipe.patience is not None:
        return []
    reason = f"its time was up after {record.steps:,} of {planned:,} steps"
    figures = {"steps": float(record.steps), "planned": float(planned)}
    return [
        Advice(
            "stopped early", reason, commands.train(), "give it the time that it needs", "certain", figures
        )
    ]


def own_recipe(record: RunRecord, registry: Registry) -> Recipe:
    """What a training takes that changes nothing; the defaults where the model is no longer installed."""
    try:
        model, _ = registry.model(record.model)
        samples, finetune = record.problem.samples, bool(record.weights)
        return resolve_recipe(model, record.problem.task, samples=samples, finetune=finetune)
    except ZooError:
        return Recipe()


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
        yield Advice("overfitting", over, commands.regularised(), "regularise more, or give it more samples")
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
            reason, remedy = (
                "the training loss does not fall any more",
                "a larger model may learn what this one cannot",
            )
            yield Advice("underfitting", reason, commands.recommend("accuracy"), remedy)
    elif course.record.state == "finished" and (why := _unfitted(course) or _unfinished(course)):
        yield Advice("underfitting", why, commands.longer(2), "more steps, or a larger model")


def _unfitted(course: Course) -> str:
    recipe, guess = course.recipe, course.guess
    if guess is None or recipe.label_smoothing or recipe.mixup or recipe.cutmix:  # no loss comes near nought
        return ""
    loss = min([course.losses[-1], *course.unseen[-1:]])
    if loss < NEAR * guess:
        return ""
    return f"the loss ends at {loss:.3g}, where guessing alone costs {guess:.3g}"


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
            f"{share:.0%} of the time went into waiting for the next batch",
            commands.lighter(),
            "smaller samples, a faster disk for ZOO_HOME, or a larger model for the same time",
            "certain",
            {"waiting": share},
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
