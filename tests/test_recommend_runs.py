"""The benchmark of the recommender on real trainings judges as it says: on results that are made up."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import zoo
from zoo.registry import installed
from zoo.specs import Evidence, to_builtins

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
MODELS = ("cnn/fcn", "cnn/inception_time", "cnn/resnet1d")


@pytest.fixture(autouse=True)
def _benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    for name in [name for name in sys.modules if name.startswith(("recommend_real", "recommend_tables"))]:
        monkeypatch.delitem(sys.modules, name)


def _record(model: str, dataset: str, samples: int, score: float) -> Evidence:
    problem = zoo.Problem(
        task="series-classification",
        input=zoo.SeriesInput(channels=1, length=64),
        output=zoo.Classes(count=2, names=(f"{dataset} 1", f"{dataset} 2")),
        samples=samples,
    )
    return Evidence(
        model=model, problem=problem, source="a test", dataset=dataset, score=score, batch_size=16
    )


def _write(path: Path, scores: dict[str, dict[str, float]]) -> Path:
    """An `evidence.json` of these scores by data set and model, at two sizes each."""
    records = [
        _record(model, dataset, samples, score)
        for dataset, row in scores.items()
        for samples in (100, 400)
        for model, score in row.items()
    ]
    path.write_text(json.dumps({"evidence": [to_builtins(record) for record in records]}))
    return path


@pytest.mark.parametrize("best", MODELS)
def test_the_pick_is_the_one_that_did_best_on_the_other_data_sets(best: str, tmp_path: Path) -> None:
    from recommend_real import regret

    scores = {
        dataset: {model: 0.9 if model == best else 0.7 for model in MODELS} for dataset in ("a", "b", "c")
    }
    path, registry = _write(tmp_path / "evidence.json", scores), installed()
    for trained in regret.read_trained(path, registry):
        known = [each for each in regret.read_evidence(path) if each.dataset != trained.dataset]
        pick = regret.advised(trained, known, registry).recommendations[0].model
        assert pick == best
        task = registry.task(trained.problem.task)
        assert regret.lost(trained, pick, task) == 0
        worst = next(model for model in MODELS if model != best)
        assert regret.lost(trained, worst, task) == pytest.approx(20)


def test_a_pick_that_evidence_misled_loses_what_it_loses(tmp_path: Path) -> None:
    from recommend_real import regret

    scores = {dataset: {"cnn/fcn": 0.9, "cnn/resnet1d": 0.6} for dataset in ("a", "b")}
    scores["odd"] = {"cnn/fcn": 0.5, "cnn/resnet1d": 0.8}
    path = _write(tmp_path / "evidence.json", scores)
    probes = tmp_path / "probes.jsonl"
    probes.write_text(json.dumps({"name": "odd 400", "pick": "cnn/resnet1d", "seconds": 12.0}) + "\n")
    printed = [str(line) for line in regret.lines(path, probes, installed())]
    row = next(line for line in printed if line.startswith("odd 400"))
    static, three, _, probed = map(float, row.split()[3:7])
    assert (static, three, probed) == (pytest.approx(30), 0, 0)
    assert row.endswith("cnn/fcn, cnn/resnet1d, 12 s")
    assert any(line.startswith("scores: 80% intervals") for line in printed)


def test_what_cut_schedules_lost_stands_beside_the_law(tmp_path: Path) -> None:
    from recommend_real import cuts

    path = _write(tmp_path / "evidence.json", {"a": {"cnn/fcn": 0.9, "cnn/resnet1d": 0.8}})
    trials = [
        {"model": "cnn/fcn", "share": 0.05, "validation": 0.5},
        {"model": "cnn/resnet1d", "share": 0.5, "validation": 0.8},
        {"model": "cnn/resnet1d", "share": 1.0, "validation": 0.1},  # whole, and so no cut one
    ]
    (tmp_path / "cuts.jsonl").write_text(
        json.dumps({"name": "a 400", "judged": 1000, "trials": trials}) + "\n"
    )
    printed = {line.name: line for line in cuts.lines(path, tmp_path / "cuts.jsonl", installed())}
    early = printed["fraction: lost at 3% to 10% of the steps"]
    assert early.value == pytest.approx(math.log(9), rel=0.01)  # from one half to nine tenths, as logits
    assert early.aim == "law 2.81"
    assert printed["fraction: lost at 30% to 90% of the steps"].value == pytest.approx(0)
    assert printed["fraction: the law: 80% intervals"].cases == 2


def test_where_nothing_was_measured_what_studies_say_beside_others_orders_the_models() -> None:
    from recommend_real import regret

    registry = installed()
    (texts,) = (each for each in regret.read_trained(regret.EVIDENCE, registry) if each.dataset == "stdlib")
    picks = regret.advised(texts, [], registry).recommendations
    assert [pick.score for pick in picks] == [None] * len(picks)  # the law foretells differences alone
    assert picks[0].model == "lstm/language_model"  # of the size, and for as much text, that it favours
    assert picks[-1].model == "lstm/min_gru"  # which is the cheapest


def test_costs_are_held_against_what_the_recommender_says(tmp_path: Path) -> None:
    from recommend_real import costs
    from recommend_real.cases import CASES
    from recommend_tables.common import Line

    case = next(case for case in CASES if case.model == "cnn/convnet")
    row: dict[str, Any] = {
        "name": case.name,
        "samples": case.samples,
        "precision": "fp32",
        "threads": 1,
        "before": 900_000_000,
        "step_cpu_seconds": 0.02,
    }
    registry = installed()
    (tmp_path / "costs.jsonl").write_text(json.dumps({**row, "peak": 10**12}) + "\n")
    (tmp_path / "again.jsonl").write_text(
        json.dumps({**row, "peak": 10**12, "step_cpu_seconds": 0.04}) + "\n"
    )
    (tmp_path / "allocated.jsonl").write_text(json.dumps({"name": row["name"], "bytes": 10**12 / 4}) + "\n")
    printed = [str(line) for line in costs.lines(tmp_path, registry)]
    values = {line.name: line.value for line in costs.lines(tmp_path, registry) if isinstance(line, Line)}
    assert any(line.startswith(case.name) and line.endswith("exceeded") for line in printed)
    assert any(line.startswith("step, not calibrated") for line in printed)
    assert values["step, measured again"] == pytest.approx(100 * (0.04 / 0.02 - 1))
    assert values["memory above the imports, measured again"] == pytest.approx(0)
    assert values["memory over what torch allocates: the middle one"] == pytest.approx(4, rel=0.01)
    (found,) = costs.read_lines(tmp_path / "costs.jsonl")
    assert found["peak"] == 10**12


def test_what_torch_allocates_for_a_step_is_near_what_the_facts_come_to(tmp_path: Path) -> None:
    from recommend_real import costs
    from recommend_real.cases import CASES

    case = next(case for case in CASES if case.model == "cnn/convnet")
    done = subprocess.run(
        [sys.executable, "-m", "recommend_real.allocated", case.name],
        check=True,
        capture_output=True,
        text=True,
        cwd=BENCHMARKS,
    )
    told = json.loads(done.stdout)
    assert told["name"] == case.name
    assert told["bytes"] == pytest.approx(costs._by_facts(case, installed()), rel=0.15)


def test_every_case_names_an_installed_model_that_does_its_task() -> None:
    from recommend_real.cases import CASES, WHOLE

    registry = installed()
    assert len(CASES) >= 30
    assert {case.task for case in CASES} == {name for name in registry.tasks if name in _tasks(CASES)}
    for case in (*CASES, *WHOLE):
        model, _ = registry.model(case.model)
        assert case.task in model.spec.tasks
        assert case.problem.task == case.task


def _tasks(cases: Any) -> set[str]:
    return {case.task for case in cases}


def test_made_up_data_is_what_its_case_says() -> None:
    from recommend_real.cases import CASES, dataset

    for task in sorted(_tasks(CASES)):
        case = min((case for case in CASES if case.task == task), key=lambda case: case.size * case.samples)
        made = dataset(case)
        assert made.problem == case.problem
        texts = made.splits["train"].get("text", ())
        assert made.size("train") >= case.samples or len(texts[0]) == case.size * case.samples
