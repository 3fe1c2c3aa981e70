"""What a schedule that is cut to a few seconds takes from the score: the law by which a probe is judged.

Each contender of a probe is trained for several lengths of time, and what it reaches on the validation split
is held against what it reaches in the end, by evidence: so much is lost for each factor e by which the
schedule was cut, and by so much models differ in it at one problem. `zoo/probing.py` has the two figures.
"""

from __future__ import annotations

import json
import math
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
from evidence import part
from recommend_tables.common import Line, bootstrap

import zoo
from recommend_real import read_lines
from recommend_real.probes import contenders
from recommend_real.regret import read_trained
from zoo.data import load_dataset
from zoo.recommender.scale import Scale
from zoo.registry import Registry, installed

LENGTHS = (7.5, 20.0, 60.0)  # seconds
WHOLE = 0.9  # of a schedule, from which on nothing longer is tried, and nothing learnt of cutting it
SHARES = (0.0, 0.03, 0.1, 0.3, WHOLE)  # of the steps, between which what was lost is told apart


def main() -> None:
    """Trains the contenders at the problem that is named, and prints what they reached as a line of JSON."""
    name, evidence = sys.argv[1], Path(sys.argv[2])
    trained = next(each for each in read_trained(evidence, installed()) if each.name == name)
    dataset = part(load_dataset(trained.dataset), trained.problem.samples or 0)
    metric = installed().task(trained.problem.task).metric
    trials = []
    for candidate in contenders(trained, evidence):
        for seconds in map(float, sys.argv[3:] or LENGTHS):
            with tempfile.TemporaryDirectory() as folder:
                limits = zoo.Limits(max_seconds=seconds, trial=True)
                record = zoo.train(candidate, dataset, output=Path(folder, "run"), limits=limits).record
            share = min(1.0, record.steps / record.recipe.total_steps(dataset.problem.samples or 0))
            trials.append({"model": candidate, "share": share, "validation": record.best[metric]})
            if share >= WHOLE:
                break
    print(json.dumps({"name": name, "judged": dataset.size("validation"), "trials": trials}))


def lines(evidence: Path, cuts: Path, registry: Registry) -> Iterator[Line]:
    """What was lost for each factor e, by how far the schedule was cut, and how much that differs."""
    problems = {trained.name: trained for trained in read_trained(evidence, registry)}
    rates: dict[str, list[tuple[str, float, float]]] = defaultdict(list)
    for row in read_lines(cuts):
        trained = problems[row["name"]]
        task = registry.task(trained.problem.task)
        scale = Scale(task.unit, task.maximize)
        for trial in row["trials"]:
            if trial["share"] >= WHOLE:
                continue
            scores = trained.scores[trial["model"]], trial["validation"]
            final, reached = (scale.seen(score, row["judged"])[0] for score in scores)
            rate = (final - reached) / -math.log(trial["share"])
            rates[task.unit].append((trained.dataset, trial["share"], rate))
    for unit, found in rates.items():
        for low, high in pairwise(SHARES):
            some = [(dataset, rate) for dataset, share, rate in found if low <= share < high]
            if some:
                datasets, values = zip(*some, strict=True)
                title = f"{unit}: drop for a factor e, {low:.0%} to {high:.0%} of the steps"
                yield Line(title, *bootstrap(values, groups=datasets), "", "", len(some))
                title = f"{unit}: its deviation"
                yield Line(title, *bootstrap(values, np.std, groups=datasets), "", "", len(some))
