"""Accuracies on VTAB and UCR: what `ScoreModel` would have picked for each data set, told of the others."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

import zoo
from recommend_tables.common import Z80, Line, bootstrap, coverage_line, read_rows
from zoo.recommender.cost import TRAIN_SHARE, VALIDATION_SHARE
from zoo.recommender.priors import Difficulty, Priors, features, read_priors
from zoo.recommender.scale import Scale
from zoo.recommender.score import ScoreModel
from zoo.registry import Model, Plugin
from zoo.specs import Evidence, ModelSpec, Problem, TaskSpec, WeightsSpec

FOLDER = Path(__file__).parent
UCR_FAMILIES = {"mlp": "mlp", "twiesn": "rnn"}  # the others are convolutional
# a batch is a tenth of the samples, and at most so many (dl-4-tsc, classifiers/)
UCR_SHARE, UCR_LARGEST = 10, 16
VTAB_SAMPLES, VTAB_JUDGED = 1000, 200  # of which so many are for validation (Zhai et al. 2020)
SHORTLIST = 3  # models that a probe trains
DRAWS = 20  # of a validation split's samples
FRACTION = Scale("fraction", maximize=True)


@dataclass(frozen=True)
class Table:
    """Accuracies of some methods on some data sets; `records` may hold further sizes of the same sets."""

    task: TaskSpec
    problems: dict[str, Problem]  # those that are judged
    accuracies: dict[str, dict[str, float]]  # by data set and method
    records: list[Evidence]
    methods: dict[str, tuple[Model, WeightsSpec | None]]
    batches: dict[str, int] = field(default_factory=dict)  # by data set, where they are known
    # accuracies, where there are several
    runs: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    held_back: int | None = None  # samples for validation; by default as where data has no splits

    def without(self, dataset: str) -> list[Evidence]:
        """What is known before the data set is seen."""
        return [record for record in self.records if record.dataset != dataset]


@dataclass(frozen=True)
class Judged:
    """What was predicted of one data set's methods, and what they reached."""

    dataset: str
    order: list[str]  # the best expected first
    hits: list[bool]  # whether intervals hold what was reached


# -- reading ----------------------------------------------------------------------------------


def read_ucr(folder: Path) -> Table:
    """Mean accuracies over the iterations; `ucr.csv` has the sizes of the archive's training splits.

    Where series differ in length, it is that of the longest, to which they are padded.
    """
    facts = {row["dataset"]: row for row in read_rows(FOLDER / "ucr.csv")}
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    for row in read_rows(folder / "ucr" / "results-ucr-128.csv"):
        found[row["dataset_name"], row["classifier_name"]].append(float(row["accuracy"]))
    problems = {
        name: Problem(
            task="series-classification",
            input=zoo.SeriesInput(channels=1, length=int(facts[name]["length"])),
            output=classes_of(name, facts[name]),
            samples=int(facts[name]["samples"]),
        )
        for name in dict.fromkeys(dataset for dataset, _ in found)
        if name in facts
    }
    methods = {}
    for method in dict.fromkeys(method for _, method in found):
        family = UCR_FAMILIES.get(method, "cnn")
        methods[method] = _model("ucr", method, family, "series-classification"), None
    runs: dict[str, dict[str, list[float]]] = defaultdict(dict)
    for (dataset, method), values in found.items():
        if dataset in problems:
            runs[dataset][method] = values
    accuracies = {
        name: {method: float(np.mean(of)) for method, of in row.items()} for name, row in runs.items()
    }
    batches = {name: _batch_of(problem) for name, problem in problems.items()}
    records = [
        Evidence(
            model=f"ucr/{method}",
            problem=problems[dataset],
            source="UCR",
            dataset=dataset,
            score=score,
            seeds=len(runs[dataset][method]),
            batch_size=batches[dataset],
        )
        for dataset, row in accuracies.items()
        for method, score in row.items()
    ]
    task = task_of("series-classification")
    return Table(task, problems, accuracies, records, methods, batches, dict(runs))


def _batch_of(problem: Problem) -> int:
    return max(1, min((problem.samples or 0) // UCR_SHARE, UCR_LARGEST))


def read_vtab(folder: Path) -> Table:
    """Accuracies with 1,000 examples, which are judged, and with all, which are known of other data sets.

    `vtab.csv` has the sizes of the splits for training and validation as task_adaptation makes them, and the
    square root of the pixels.
    """
    facts = {row["dataset"]: row for row in read_rows(FOLDER / "vtab.csv")}
    with (folder / "vtab" / "results.csv").open(newline="") as file:
        sizes, names, _, *rows = csv.reader(file)
    problems, accuracies, records = {}, {}, []
    methods = {row[0]: row for row in rows}
    tags = {name: "" if name == "From-Scratch" else name.lower().rstrip("%") for name in methods}
    model = _model("vtab", "resnet50", "cnn", "image-classification", [tag for tag in tags.values() if tag])
    for column, (size, dataset) in enumerate(zip(sizes, names, strict=True)):
        if dataset not in facts:
            continue
        fact = facts[dataset]
        side = int(fact["side"])
        problem = Problem(
            task="image-classification",
            input=zoo.ImageInput(channels=3, height=side, width=side),
            output=classes_of(dataset, fact),
            samples=int(fact["samples"]) if size == "full" else VTAB_SAMPLES,
        )
        scores = {name: float(row[column]) / 100 for name, row in methods.items()}
        if size != "full":
            problems[dataset], accuracies[dataset] = problem, scores
        records += [
            Evidence(
                model=model.name,
                weights=tags[name],
                problem=problem,
                source="VTAB",
                dataset=dataset,
                score=score,
            )
            for name, score in scores.items()
        ]
    known = {weights.tag: weights for weights in model.weights}
    pairs = {name: (model, known.get(tag)) for name, tag in tags.items()}
    task = task_of("image-classification")
    return Table(task, problems, accuracies, records, pairs, held_back=VTAB_JUDGED)


def classes_of(dataset: str, facts: Mapping[str, str]) -> zoo.Classes:
    """Named, as those of real data are: sets of one size would be taken for the very same problem."""
    count = int(facts["classes"])
    return zoo.Classes(count=count, names=tuple(f"{dataset} {number}" for number in range(count)))


def task_of(name: str) -> TaskSpec:
    """A task of that name that is judged by accuracy."""
    return TaskSpec(name=name, implementation="benchmarks:none", metric="accuracy")


def _model(plugin: str, name: str, family: str, task: str, tags: Sequence[str] = ()) -> Model:
    spec = ModelSpec(name=name, family=family, tasks=(task,), builder="benchmarks:none")
    weights = tuple(
        WeightsSpec(
            tag=tag,
            model=f"{plugin}/{name}",
            source=f"hf://{plugin}/{name}/{tag}.safetensors",
            dataset="imagenet-1k",
        )
        for tag in tags
    )
    return Model(spec, Plugin(plugin, plugin), weights)


# -- judging ----------------------------------------------------------------------------------


def judge(table: Table) -> list[Judged]:
    """Each data set in turn left out, also of the published findings that were drawn from the table."""
    models = {model.name: model for model, _ in table.methods.values()}
    return [_judge_one(table, dataset, models) for dataset in table.problems]


def _judge_one(table: Table, dataset: str, models: dict[str, Model]) -> Judged:
    known = table.without(dataset)
    priors, batch = priors_without(table, dataset), table.batches.get(dataset)
    scores = ScoreModel(table.task, table.problems[dataset], known, models, priors, batch=batch)
    means, hits = {}, []
    for name in table.accuracies[dataset]:
        found = scores.predict(*table.methods[name])
        assert found is not None  # there is evidence
        means[name] = found.mean
        reached = scores.scale.to(table.accuracies[dataset][name])
        hits.append(abs(reached - found.mean) <= Z80 * found.deviation)
    return Judged(dataset, sorted(means, key=lambda name: -means[name]), hits)


def priors_without(table: Table, dataset: str) -> Priors:
    """The shipped priors, with those that come from the table fitted anew on the other data sets."""
    task = table.task.name
    shipped = read_priors()
    if all(weights is not None for _, weights in table.methods.values()):
        return shipped  # nothing in them comes from a table without training from scratch
    return shipped.replace(
        difficulty=(fit_difficulty(table, leave_out=dataset),),
        family=tuple(prior for prior in shipped.family if prior.task != task),
    )


def fit_difficulty(table: Table, *, leave_out: str = "") -> Difficulty:
    """How hard the table's problems are for models trained from scratch."""
    shipped = next(prior for prior in read_priors().difficulty if prior.task == table.task.name)
    scratch = [name for name, (_, weights) in table.methods.items() if weights is None]
    means, there = [], []
    for name, problem in table.problems.items():
        if name != leave_out:
            means.append(np.mean([FRACTION.to(table.accuracies[name][method]) for method in scratch]))
            there.append([np.log10(value) for value in features(problem) if value])
    middle = [round(float(10**value)) for value in np.median(there, axis=0)]
    return shipped.replace(
        mean=round(float(np.mean(means)), 3),
        deviation=round(float(np.std(means)), 3),
        samples=middle[0],
        classes=middle[1],
        size=middle[2],
    )


def lines(
    table: Table, name: str, usual: tuple[str, str], aims: tuple[str, str] = ("", "")
) -> Iterator[Line]:
    """Regret of what was picked and of the baselines, in points below the best, and coverage.

    `usual` is a baseline's title and its method, `aims` are those of the static pick and of the probed one.
    """
    judged = judge(table)
    regrets: dict[str, list[float]] = defaultdict(list)
    for one in judged:
        row = table.accuracies[one.dataset]
        best = max(row.values())
        by_rank = _by_mean_rank(table, one.dataset)
        picks = {
            "our static pick": [row[one.order[0]]],
            "our first three": [max(row[method] for method in one.order[:3])],
            "best mean rank": [row[by_rank[0]]],
            "best mean rank, first three": [max(row[method] for method in by_rank[:3])],
            usual[0]: [row[usual[1]]],
            "random": list(row.values()),
        }
        for pick, values in picks.items():
            regrets[pick].append(100 * (best - float(np.mean(values))))
    for pick, values in regrets.items():
        aimed = aims[0] if pick == "our static pick" else ""
        yield Line(f"{name}: {pick}", *bootstrap(values), "", aimed, len(values))
    probes = {
        "three trained, judged by validation": (SHORTLIST, True),
        "all trained, judged by validation": (len(table.methods), True),
    }
    if table.runs:
        probes |= {
            "three trained, judged by the test set": (SHORTLIST, False),
            "all trained, judged by the test set": (len(table.methods), False),
        }
    for pick, (count, split) in probes.items():
        values = [_probed(table, one, count, split=split) for one in judged]
        aimed = aims[1] if split and count == SHORTLIST else ""
        yield Line(f"{name}: {pick}", *bootstrap(values), "", aimed, len(values))
    hits = [hit for one in judged for hit in one.hits]
    groups = [one.dataset for one in judged for _ in one.hits]
    yield coverage_line(name, hits, groups)


def _probed(table: Table, one: Judged, count: int, *, split: bool) -> float:
    """Points that the best of the first `count` loses, each trained once; other runs say what it is worth.

    With `split`, chance decides as it does where few samples are held back for validation; what it costs
    that they are held back is not counted.
    """
    row = table.accuracies[one.dataset]
    runs = np.array([table.runs.get(one.dataset, {}).get(name, [row[name]]) for name in one.order])  # [M, R]
    samples = table.problems[one.dataset].samples or 0
    held = table.held_back or round(samples * VALIDATION_SHARE / TRAIN_SHARE)
    draw = np.random.default_rng(0)
    lost = []
    for turn in range(runs.shape[1]):
        seen = runs[:count, turn]
        worth = np.delete(runs, turn, axis=1).mean(axis=1) if runs.shape[1] > 1 else runs[:, 0]
        for _ in range(DRAWS if split else 1):
            shown = draw.binomial(max(2, held), seen) if split else seen
            lost.append(100 * (worth.max() - worth[np.argmax(shown)]))
    return float(np.mean(lost))


def _by_mean_rank(table: Table, dataset: str) -> list[str]:
    """The methods by their mean rank on the other data sets."""
    ranks: dict[str, list[float]] = defaultdict(list)
    for other, row in table.accuracies.items():
        if other != dataset:
            for method, score in row.items():
                better = sum(value > score for value in row.values())
                same = sum(value == score for value in row.values())
                ranks[method].append(better + (same + 1) / 2)
    here = table.accuracies[dataset]
    return sorted(here.keys() & ranks.keys(), key=lambda method: (float(np.mean(ranks[method])), method))
