"""The zoo's own trainings: what the recommender would have picked, told of the other data sets alone.

A problem is a data set at one size; its candidates are the models that were trained on it. What a pick
loses is told in points of accuracy, or, for a metric that is a number, in per cent of the best one's. `three`
is the best of the first three, `sizes` the pick of one who knows the same data set at other sizes, `probed`
that of `recommend_runs.py probes`. `mean rank` is the best by its mean rank on the task's other data sets,
`usual` one model for each task; where there are none, they are as good as `random`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from evidence import SOURCE
from recommend_tables.common import Line, bootstrap, coverage_line

import zoo
from recommend_real import read_lines
from zoo.recommender import recommend
from zoo.recommender.answer import Recommendation
from zoo.recommender.devices import find_device
from zoo.registry import Model, Registry
from zoo.specs import Evidence, Problem, TaskSpec, convert

USUAL = {  # what one would take without looking
    "image-classification": "cnn/resnet20",
    "series-classification": "cnn/resnet1d",
    "text-classification": "lstm/classifier",
    "forecasting": "lstm/forecaster",
    "seq2seq": "lstm/seq2seq",
    "language-modeling": "lstm/language_model",
}
EVIDENCE = Path(zoo.__file__).parent / "recommender" / "evidence.json"
FEWEST = 2  # candidates: of one alone there is nothing to pick
DEVICE = "server-cpu-16"


@dataclass(frozen=True)
class Trained:
    """One data set at one size, and what each model reached there."""

    dataset: str
    problem: Problem
    scores: dict[str, float]

    @property
    def name(self) -> str:
        """As in `digits 400`."""
        return f"{self.dataset} {self.problem.samples:,}"


@dataclass(frozen=True)
class Told:
    """A registry in which only some models are installed, and only some results are known."""

    registry: Registry
    models: Mapping[str, Model]
    evidence: Sequence[Evidence]

    def task(self, name: str) -> TaskSpec:
        """As in the whole registry."""
        return self.registry.task(name)


def read_trained(path: Path, registry: Registry) -> list[Trained]:
    """The problems of an `evidence.json` for which several installed models were trained from scratch."""
    found: dict[tuple[str, int], Trained] = {}
    for record in read_evidence(path):
        if record.weights or record.score is None or record.model not in registry.models:
            continue
        key = record.dataset, record.problem.samples or 0
        trained = found.setdefault(key, Trained(record.dataset, record.problem, {}))
        trained.scores[record.model] = record.score
    return [found[key] for key in sorted(found) if len(found[key].scores) >= FEWEST]


def read_evidence(path: Path) -> list[Evidence]:
    """The records of an `evidence.json`."""
    records = msgspec.json.decode(path.read_bytes())["evidence"]
    return [convert(record, Evidence, where=str(path)) for record in records]


def every_record(path: Path, registry: Registry) -> list[Evidence]:
    """What was measured here, by an `evidence.json`, and what installed plugins bring of papers."""
    return read_evidence(path) + [record for record in registry.evidence if record.source != SOURCE]


def lost(trained: Trained, model: str, task: TaskSpec) -> float:
    """How far a model is below the best: in points, or in per cent of the best one's number."""
    best = (max if task.maximize else min)(trained.scores.values())
    gap = abs(trained.scores[model] - best)
    return 100 * gap if task.unit == "fraction" else 100 * gap / best


def advised(trained: Trained, known: Iterable[Evidence], registry: Registry) -> Recommendation:
    """What the recommender says of the problem's candidates, told of `known` alone."""
    models = {name: registry.models[name] for name in trained.scores}
    told: Any = Told(registry, models, list(known))
    device = find_device(registry, DEVICE).replace(free_bytes=None)
    budget = zoo.Budget(memory_bytes=10**12)
    return recommend(
        told,
        trained.problem,
        device,
        budget,
        objective="accuracy",
        top=len(models),
        pretrained=False,
        calibrations={},
        outcomes=(),
    )


# -- what is printed --------------------------------------------------------------------------


def lines(evidence: Path, probes: Path | None, registry: Registry) -> Iterator[Line | str]:
    """The loss of each pick on each problem, then their means with intervals, and coverage."""
    table, records = read_trained(evidence, registry), every_record(evidence, registry)
    probed = {row["name"]: row for row in (read_lines(probes) if probes else ())}
    rows: list[dict[str, float]] = []
    hits: list[tuple[str, bool]] = []
    yield (
        f"{'problem':<24} {'unit':<5}"
        + "".join(f"{name:>12}" for name in PICKS)
        + "   picked, best, probe cost"
    )
    for trained in table:
        task = registry.task(trained.problem.task)
        others = [record for record in records if record.dataset != trained.dataset]
        answer = advised(trained, others, registry)
        order = [choice.model for choice in answer.recommendations]
        row = _lost(trained, table, order, task)
        row["sizes"] = lost(trained, _with_sizes(trained, records, registry), task)
        probe = probed.get(trained.name)
        if probe and probe["pick"] in trained.scores:
            row["probed"] = lost(trained, probe["pick"], task)
        rows.append(row)
        hits += [(trained.dataset, hit) for hit in _held(trained, answer)]
        yield _row(trained, row, order[0], probe, task)
    yield ""
    yield from _means(table, rows, registry)
    yield coverage_line("scores", [hit for _, hit in hits], [name for name, _ in hits])


PICKS = ("static", "three", "sizes", "probed", "mean rank", "usual", "random")


def _with_sizes(trained: Trained, records: Sequence[Evidence], registry: Registry) -> str:
    """The pick of one who is told of the same data set at other sizes too."""
    key = trained.dataset, trained.problem.samples
    known = [record for record in records if (record.dataset, record.problem.samples) != key]
    return advised(trained, known, registry).recommendations[0].model


def _lost(
    trained: Trained, table: Sequence[Trained], order: Sequence[str], task: TaskSpec
) -> dict[str, float]:
    each = {model: lost(trained, model, task) for model in trained.scores}
    average = float(np.mean(list(each.values())))
    ranked = _by_mean_rank(trained, table, task)
    return {
        "static": each[order[0]],
        "three": min(each[model] for model in order[:3]),
        "mean rank": float(np.mean([each[model] for model in ranked])) if ranked else average,
        "usual": each.get(USUAL.get(trained.problem.task, ""), average),
        "random": average,
    }


def _by_mean_rank(trained: Trained, table: Sequence[Trained], task: TaskSpec) -> list[str]:
    """The candidates with the best mean rank on the task's other data sets; none where there are none."""
    ranks: dict[str, list[float]] = defaultdict(list)
    for other in table:
        if other.dataset == trained.dataset or other.problem.task != trained.problem.task:
            continue
        shared = [model for model in other.scores if model in trained.scores]
        for model in shared:
            losses = [lost(other, rival, task) - lost(other, model, task) for rival in shared]
            ranks[model].append(
                (sum(gap < 0 for gap in losses) + sum(gap <= 0 for gap in losses) + 1) / 2 / len(shared)
            )
    means = {model: float(np.mean(values)) for model, values in ranks.items()}
    return [model for model, mean in means.items() if mean == min(means.values())]


def _held(trained: Trained, answer: Recommendation) -> Iterator[bool]:
    """Whether each 80% interval holds what was reached."""
    for choice in answer.recommendations:
        if choice.score is not None:
            yield choice.score.low <= trained.scores[choice.model] <= choice.score.high


def _row(trained: Trained, row: Mapping[str, float], pick: str, probe: Any, task: TaskSpec) -> str:
    cells = "".join(f"{row[name]:>12.2f}" if name in row else f"{'':>12}" for name in PICKS)
    best = min(trained.scores, key=lambda model: lost(trained, model, task))
    cost = f", {probe['seconds']:.0f} s" if probe else ""
    unit = "pts" if task.unit == "fraction" else "%"
    return f"{trained.name:<24} {unit:<5}{cells}   {pick}, {best}{cost}"


def _means(
    table: Sequence[Trained], rows: Sequence[Mapping[str, float]], registry: Registry
) -> Iterator[Line]:
    """Over problems with a fraction, over those with a number, and over all; data sets are drawn whole."""
    for unit, told in (("fraction", "points lost"), ("number", "% lost")):
        for name in PICKS:
            chosen = [
                (row[name], trained.dataset)
                for row, trained in zip(rows, table, strict=True)
                if name in row and registry.task(trained.problem.task).unit == unit
            ]
            if chosen:
                values, groups = zip(*chosen, strict=True)
                yield Line(f"{told}: {name}", *bootstrap(values, groups=groups), "", "", len(values))
    for name in PICKS[:-1]:
        shares = [
            (100 * row[name] / row["random"], trained.dataset)
            for row, trained in zip(rows, table, strict=True)
            if name in row and row["random"] > 0
        ]
        if shares:
            values, groups = zip(*shares, strict=True)
            title = f"share of a random pick's loss: {name}"
            yield Line(title, *bootstrap(values, groups=groups), " %", "", len(values))
