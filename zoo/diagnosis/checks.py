"""What a run's weights and data give reason to change, each check by what it counted or measured."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from zoo.advice import GAP, SKILL, WORSE, Advice
from zoo.commands import Commands
from zoo.data.alike import Alike, find_alike
from zoo.data.balance import UNEVEN
from zoo.data.dataset import COLUMNS, SPLITS, Dataset
from zoo.diagnosis.examined import Examined
from zoo.diagnosis.labels import Opinions
from zoo.evaluation import Metric
from zoo.judging.worst import where
from zoo.units import format_metric

NOISY = 0.01  # of the labels: fewer that are doubted may be hard samples as well
MANY = 0.05  # of the labels, from which on they are a fault of the labels rather than of the samples
BEHIND = 0.1  # of recall, by which rare classes come off worse
EXAMPLES = 1000  # that are kept of each finding


def fit(examined: Examined, commands: Commands) -> Iterator[Advice]:
    """The distance of training from validation, and of both from the trivial predictor."""
    train, validation = examined.metrics["train"], examined.metrics["validation"]
    figures = {"train": train.value, "validation": validation.value}
    if _apart(examined, train, validation):
        reason = f"{_named(examined)} is {_written(examined, train)} on training samples and "
        reason += f"{_written(examined, validation)} on validation: {_gap(examined, train, validation)}"
        remedy = "regularise more, or give it more samples"
        yield Advice("overfitting", reason, commands.regularised(), remedy, "certain", figures)
        smaller = "a smaller model has less room for what holds of the training samples alone"
        yield Advice("overfitting", reason, commands.recommend("size"), smaller, "possible", figures)
    trivial = examined.task.baseline(examined.prepared, "train")
    told = trivial.metrics.get(examined.spec.metric)
    if told is not None and _skill(examined, train.value, told) < SKILL:
        reason = f"{_named(examined)} is {_written(examined, train)} on its own training samples, where the "
        reason += f"{trivial.name} reaches {format_metric(told, examined.spec.unit)}"
        figures = {"train": train.value, "baseline": told}
        remedy = "more steps, or a larger model"
        yield Advice("underfitting", reason, commands.longer(5), remedy, "certain", figures)


def leakage(examined: Examined, commands: Commands) -> Iterator[Advice]:
    """Samples that are trained on and judged on, and what the test says without them."""
    dataset = examined.dataset
    if len(COLUMNS.get(dataset.problem.task, ())) < 2:
        return
    alike = find_alike(dataset)
    leaked = {split: rows_in_train(alike, split) for split in ("validation", "test")}
    sizes = {split: dataset.size(split) for split in leaked}
    if not any(len(rows) for rows in leaked.values()):
        return
    shares = [f"{len(rows):,} of {sizes[split]:,} {split}" for split, rows in leaked.items() if len(rows)]
    reason = f"{' and '.join(shares)} samples are training samples too"
    figures = {split: len(rows) / sizes[split] for split, rows in leaked.items()}
    values, weights = (each.double().numpy() for each in examined.scores["test"][examined.spec.metric])
    kept = np.setdiff1d(np.arange(len(values)), leaked["test"])
    if len(leaked["test"]) and len(kept) and weights[kept].sum() > 0:
        clean = float(np.average(values[kept], weights=weights[kept]))
        figures["clean"] = clean
        reason += (
            f"; {_named(examined)} on the other test samples is {format_metric(clean, examined.spec.unit)}, "
        )
        reason += f"not {_written(examined, examined.metrics['test'])}"
    remedy = "leave them out of one split, then train again; this names the first of them"
    examples = tuple(place(dataset, split, row) for split, rows in leaked.items() for row in rows[:EXAMPLES])
    yield Advice("leakage", reason, commands.inspect(), remedy, "certain", figures, examples)


def rows_in_train(alike: Alike, split: str) -> NDArray[np.int64]:
    """The rows of `split` whose content is that of a training sample."""
    group = np.empty(len(alike.order), dtype=np.int64)
    group[alike.order] = np.repeat(np.arange(len(alike.starts)), alike.sizes)
    here = alike.splits == SPLITS.index(split)
    return np.flatnonzero(np.isin(group[here], group[alike.splits == 0]))


def imbalance(examined: Examined, commands: Commands) -> Iterator[Advice]:
    """Classes with far fewer samples than others, and whether they come off worse."""
    counts = examined.dataset.class_counts("train")
    sizes = np.array(list(counts.values()))
    answers = examined.answers("validation")
    if answers is None or len(sizes) < 2 or sizes.max() < UNEVEN * max(1, sizes.min()):
        return
    predicted, true = answers
    rare = np.flatnonzero(sizes * UNEVEN <= sizes.max())
    met = np.isin(true, rare)
    recalls = [float((predicted[part] == true[part]).mean()) if part.any() else None for part in (met, ~met)]
    names, recipe = list(counts), examined.run.record.recipe
    reason = f"{names[sizes.argmin()]!r} has {sizes.min():,} training samples, "
    reason += f"{names[sizes.argmax()]!r} {sizes.max():,}"
    figures, sure = {"fewest": float(sizes.min()), "most": float(sizes.max())}, "possible"
    if recalls[0] is not None and recalls[1] is not None:
        figures |= {"recall_rare": recalls[0], "recall_others": recalls[1]}
        reason += (
            f"; {recalls[0]:.1%} of the rare classes' validation samples are found, {recalls[1]:.1%} of "
        )
        reason += "the others'"
        sure = "likely" if recalls[1] - recalls[0] > BEHIND else sure
    balanced = recipe.balanced or recipe.class_weights != "none"
    if balanced and sure == "possible":
        return
    changes = {"balanced": True, "class_weights": "none"} if balanced else {"class_weights": "balanced"}
    remedy = "let each class count the same, and judge by macro_f1"
    yield Advice("imbalance", reason, commands.train(**changes), remedy, sure, figures)  # type: ignore[arg-type]


def label_noise(examined: Examined, commands: Commands) -> Iterator[Advice]:
    """Training labels that the model and a second opinion, which never saw them, both doubt."""
    if examined.answers("train") is None:
        return
    opinions = Opinions(examined)
    suspects = opinions.suspects() if opinions.trusted else np.empty(0, dtype=np.int64)
    share = len(suspects) / len(opinions.given)
    if share < NOISY:
        return
    names = examined.dataset.labels or tuple(map(str, range(int(opinions.given.max()) + 1)))
    rows = examined.rows.numpy()
    examples = tuple(
        f"{place(examined.dataset, 'train', int(rows[found]))}: {names[opinions.given[found]]}, rather "
        f"{names[opinions.second[found]]}"
        for found in suspects[:EXAMPLES]
    )
    who = (
        "a model that never saw them doubts"
        if opinions.by_heart
        else "this model and one that never saw them doubt"
    )
    reason = f"{who} {len(suspects):,} of {len(opinions.given):,} training labels ({share:.1%}), such as "
    reason += examples[0]
    recipe = examined.run.record.recipe
    command = commands.inspect() if recipe.label_smoothing else commands.train(label_smoothing=0.1)
    remedy = "look at them (--json lists them), mend what is wrong; until then trust labels less"
    sure = "likely" if share >= MANY and not opinions.by_heart else "possible"
    figures = {"suspects": float(len(suspects)), "share": share, "agreement": opinions.agreement}
    yield Advice("label noise", reason, command, remedy, sure, figures, examples)  # type: ignore[arg-type]


def place(dataset: Dataset, split: str, row: int) -> str:
    """Where a sample is: its file, or its split and row."""
    return where(dataset.splits[split], row) or f"{split} {row}"


# -- in words ---------------------------------------------------------------------------------


def _apart(examined: Examined, train: Metric, validation: Metric) -> bool:
    """Whether training is better by more than chance and by more than is usual."""
    if examined.spec.maximize:
        beyond, gap = train.low > validation.high, train.value - validation.value
    else:
        beyond, gap = train.high < validation.low, validation.value - train.value
    enough = gap > GAP if examined.spec.unit == "fraction" else validation.value > WORSE * train.value
    return beyond and enough


def _skill(examined: Examined, value: float, trivial: float) -> float:
    if not examined.spec.maximize:
        return 1 - value / trivial if trivial > 0 else 1.0
    return (value - trivial) / (1 - trivial) if trivial < 1 else 1.0


def _gap(examined: Examined, train: Metric, validation: Metric) -> str:
    gap = abs(train.value - validation.value)
    return f"{100 * gap:.1f} points apart" if examined.spec.unit == "fraction" else f"{gap:.3g} apart"


def _named(examined: Examined) -> str:
    return examined.spec.metric.replace("_", " ")


def _written(examined: Examined, metric: Metric) -> str:
    return format_metric(metric.value, examined.spec.unit)
