"""`zoo recommend --probe` about data sets of which evidence knows what each model reaches in the end.

Told of the other data sets' evidence alone, the recommender probes among the models that were trained on
the set.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evidence import part

import zoo
from recommend_real.regret import Told, Trained, every_record, read_trained
from zoo.data import Dataset, load_dataset
from zoo.recommender import find_device
from zoo.recommender.rank import Question
from zoo.registry import installed
from zoo.specs import Evidence


def problems(evidence: Path) -> list[str]:
    """The names of the problems, the smallest first."""
    table = read_trained(evidence, installed())
    return [each.name for each in sorted(table, key=lambda each: each.problem.samples or 0)]


def main() -> None:
    """Probes the problem that is named, for so many seconds, and prints the pick as a line of JSON."""
    from zoo.probing import probe

    name, seconds, evidence = sys.argv[1], float(sys.argv[2]), Path(sys.argv[3])
    trained, dataset = find_problem(name, evidence)
    records = others(trained, evidence)
    found = probe(
        lambda: question(trained, records),
        dataset,
        seconds,
        tell=lambda line: print(line, file=sys.stderr),
    )
    told = found.as_json()["probe"]
    pick = found.answer.recommendations[0].model
    print(json.dumps({"name": name, "pick": pick, "allowed": seconds, **told}))


def find_problem(name: str, evidence: Path) -> tuple[Trained, Dataset]:
    """The problem of that name, and its data."""
    trained = next(each for each in read_trained(evidence, installed()) if each.name == name)
    return trained, part(load_dataset(trained.dataset), trained.problem.samples or 0)


def others(trained: Trained, evidence: Path) -> list[Evidence]:
    """What is known of other data sets."""
    return [record for record in every_record(evidence, installed()) if record.dataset != trained.dataset]


def question(trained: Trained, records: Sequence[Evidence]) -> Question:
    """What is known of the problem's candidates before the data set is seen."""
    registry = installed()
    models = {model: registry.models[model] for model in trained.scores}
    told: Any = Told(registry, models, records)
    device = find_device(registry, "auto").replace(free_bytes=None)
    budget = zoo.Budget(memory_bytes=10**12)
    options: dict[str, Any] = {"objective": "accuracy", "top": 3, "pretrained": False, "outcomes": ()}
    return Question(told, trained.problem, device, budget, **options)


if __name__ == "__main__":
    main()
