"""What a schedule that is cut to a few seconds takes from the score: the law by which a probe is judged.

Each contender of a probe is trained for several lengths of time, and what it reaches on the validation split
is held against what it reaches in the end, by evidence. The law is that of `zoo/recommender/scale.py`.
"""

from __future__ import annotations

import json
import math
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from recommend_tables.common import Z80, Line, bootstrap, coverage_line

from recommend_real import read_lines
from recommend_real.probes import find_problem, others, question
from recommend_real.regret import read_trained
from zoo.recommender.scale import Scale
from zoo.registry import Registry

LENGTHS = (7.5, 20.0, 60.0)  # seconds
WHOLE = 0.9  # of a schedule, from which on nothing longer is tried, and nothing learnt of cutting it
SHARES = (0.0, 0.03, 0.1, 0.3, WHOLE)  # of the steps, between which what was lost is told apart


def main() -> None:
    """Trains the contenders at the problem that is named, and prints what they reached as a line of JSON."""
    from zoo.probing import find_contenders, try_out

    trained, dataset = find_problem(sys.argv[1], Path(sys.argv[2]))
    asked = question(trained, others(trained, Path(sys.argv[2])))
    trials = []
    for candidate in find_contenders(asked, len(trained.scores)):
        for seconds in map(float, sys.argv[3:] or LENGTHS):
            trial = try_out(asked, candidate, dataset, seconds, frozen=False)
            if trial is not None:
                trials.append({"model": candidate.name, "share": trial.share, "validation": trial.score})
                if trial.share >= WHOLE:
                    break
    print(json.dumps({"name": trained.name, "judged": dataset.size("validation"), "trials": trials}))


def lines(evidence: Path, cuts: Path, registry: Registry) -> Iterator[Line]:
    """What was lost, by how far the schedule was cut, beside the law's figure; and how well the law holds."""
    problems = {trained.name: trained for trained in read_trained(evidence, registry)}
    found: dict[str, list[_Drop]] = defaultdict(list)
    for row in read_lines(cuts):
        trained = problems[row["name"]]
        task = registry.task(trained.problem.task)
        scale = Scale(task.unit, task.maximize)
        for trial in row["trials"]:
            if trial["share"] < WHOLE:
                scores = trained.scores[trial["model"]], trial["validation"]
                (final, _), (reached, noise) = (scale.seen(score, row["judged"]) for score in scores)
                expected, deviation = scale.uncut(-math.log(trial["share"]))
                within = math.sqrt(deviation**2 + noise + scale.repeat**2)
                drop = _Drop(trained.dataset, trial["share"], final - reached, expected, within)
                found[task.unit].append(drop)
    for unit, drops in found.items():
        for low, high in pairwise(SHARES):
            some = [drop for drop in drops if low <= drop.share < high]
            if some:
                groups = [drop.dataset for drop in some]
                title = f"{unit}: lost at {low:.0%} to {high:.0%} of the steps"
                figures = bootstrap([drop.lost for drop in some], groups=groups)
                law = f"law {np.mean([drop.expected for drop in some]):.2f}"
                yield Line(title, *figures, "", law, len(some))
        hits = [abs(drop.lost - drop.expected) <= Z80 * drop.deviation for drop in drops]
        yield coverage_line(f"{unit}: the law", hits, [drop.dataset for drop in drops])


@dataclass(frozen=True)
class _Drop:
    """What a cut schedule lost, and what the law expects of that, with its deviation."""

    dataset: str
    share: float
    lost: float
    expected: float
    deviation: float


if __name__ == "__main__":
    main()
