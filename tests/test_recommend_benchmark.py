"""The benchmark of the recommender: what is left out is left out, and what it prints is what was found."""

from __future__ import annotations

import math
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import zoo
from zoo.recommender.cost import Plan
from zoo.recommender.facts import Load
from zoo.recommender.priors import Priors
from zoo.registry import installed
from zoo.specs import Device

FOLDER = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(name="tables")
def import_tables(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(FOLDER)
    before = set(sys.modules)
    import recommend_tables.losses
    import recommend_tables.parc
    import recommend_tables.scores
    import recommend_tables.times

    yield recommend_tables
    for module in set(sys.modules) - before:
        if module.partition(".")[0] == "recommend_tables":
            del sys.modules[module]


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        (sys.executable, FOLDER / "recommend.py", *arguments),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


# -- scores -----------------------------------------------------------------------------------


def _table(scores: ModuleType, accuracies: dict[str, dict[str, float]]) -> Any:
    methods = list(next(iter(accuracies.values())))
    problem = zoo.Problem(
        task="series-classification",
        input=zoo.SeriesInput(channels=1, length=100),
        output=zoo.Classes(count=3),
        samples=100,
    )
    problems = {name: problem.replace(samples=100 + place) for place, name in enumerate(accuracies)}
    records = [
        zoo.Evidence(
            model=f"ucr/{method}", problem=problems[name], source="made up", dataset=name, score=score
        )
        for name, row in accuracies.items()
        for method, score in row.items()
    ]
    models = {method: (scores._model("ucr", method, "cnn", problem.task), None) for method in methods}
    return scores.Table(scores.task_of(problem.task), problems, accuracies, records, models)


ACCURACIES = {
    "a": {"good": 0.9, "fair": 0.8, "poor": 0.5},
    "b": {"good": 0.8, "fair": 0.7, "poor": 0.4},
    "c": {"good": 0.95, "fair": 0.9, "poor": 0.7},
    "odd": {"good": 0.6, "fair": 0.7, "poor": 0.8},
}


def test_what_is_said_of_a_data_set_does_not_depend_on_its_own_results(tables: ModuleType) -> None:
    other = {**ACCURACIES, "odd": {"good": 0.8, "fair": 0.7, "poor": 0.6}}
    found = []
    for accuracies in (ACCURACIES, other):
        judged = {one.dataset: one for one in tables.scores.judge(_table(tables.scores, accuracies))}
        found.append(judged["odd"].order)
    assert found[0] == found[1] == ["good", "fair", "poor"]
    priors = [
        tables.scores.priors_without(_table(tables.scores, each), "odd") for each in (ACCURACIES, other)
    ]
    assert priors[0] == priors[1]


def test_regret_is_what_the_pick_lacks_to_the_best_in_points(tables: ModuleType) -> None:
    lines = list(tables.scores.lines(_table(tables.scores, ACCURACIES), "made up", ("always poor", "poor")))
    values = {line.name: line.value for line in lines}
    assert values["made up: our static pick"] == pytest.approx(20 / 4)
    assert values["made up: our first three"] == pytest.approx(0)
    assert values["made up: always poor"] == pytest.approx((40 + 40 + 25) / 4)
    assert values["made up: best mean rank"] == pytest.approx(20 / 4)


def test_a_probe_loses_what_chance_makes_it_lose(tables: ModuleType) -> None:
    """One model is better in a single run: what is seen in one is not what the others are worth."""
    row = {"steady": 0.8, "wild": 0.7}
    table = tables.scores.Table(
        **{
            **vars(_table(tables.scores, {"a": row, "b": row})),
            "runs": {name: {"steady": [0.8, 0.8, 0.8], "wild": [0.9, 0.6, 0.6]} for name in "ab"},
        }
    )
    one = tables.scores.Judged("a", ["steady", "wild"], [])
    lost = tables.scores._probed(table, one, 2, split=False)
    assert lost == pytest.approx(100 * (0.8 - 0.6) / 3)  # once of three turns it takes the wild one
    assert tables.scores._probed(table, one, 1, split=False) == pytest.approx(0.0)


def test_weights_are_judged_where_they_were_tried_and_did_not_fail(
    tables: ModuleType, tmp_path: Path
) -> None:
    """None of the set's own weights, none whose training failed, and nothing on VOC's yes and no."""
    (tmp_path / "parc").mkdir()
    rows = ["Architecture,Source Dataset,Target Dataset,Oracle"]
    for target in ("cub200", "nabird", "cifar10", "voc2007"):
        rows += [
            f"resnet50,{source},{target},{80 + len(target)}" for source in ("imagenet", "cub200", "places205")
        ]
    rows.remove("resnet50,cub200,cub200,86")
    rows[rows.index("resnet50,places205,nabird,86")] = "resnet50,places205,nabird,-1.0"
    (tmp_path / "parc" / "all.csv").write_text("\n".join(rows))
    table = tables.parc.read_parc(tmp_path, "all.csv")
    assert set(table.accuracies["cub200"]) == {"resnet50 imagenet", "resnet50 places205"}
    assert set(table.accuracies["nabird"]) == {"resnet50 imagenet", "resnet50 cub200"}
    assert "voc2007" not in table.problems
    assert table.methods["resnet50 imagenet"][1].metrics == {"top1": 0.762}


# -- times ------------------------------------------------------------------------------------


def _timed(times: ModuleType, factor: float, spread: float) -> tuple[list[Any], Device]:
    """Steps that take what the roofline says, times a factor, times chance."""
    draw = random.Random(0)
    device = Device(spec=installed().devices["rtx-3090"])
    rows = []
    for number in range(80):
        kept = 10 ** draw.uniform(6, 8)
        facts = zoo.Facts(
            parameters=round(10 ** draw.uniform(6, 8)),
            macs=round(10 ** draw.uniform(8, 10)),
            activation_bytes={"bf16": round(kept), "fp32": round(kept * draw.uniform(1.3, 2))},
            largest_tensor_bytes={"bf16": round(kept * draw.uniform(0.01, 0.1))},
        )
        load = Load(facts, 1.0, float(facts.macs), 1, 1000, None, 0.0, even=False, family="cnn")
        row = times.Timed(f"m{number}", f"make{number % 8}", load, 4096, 1.0)
        cost = Plan(row.recipe, device, priors=Priors()).step_seconds(load)
        assert cost
        seconds = cost.value * factor * math.exp(draw.gauss(0, spread))
        rows.append(times.Timed(row.name, row.make, load, row.batch, seconds))
    return rows, device


def test_a_law_finds_a_factor_that_all_models_share_and_knows_how_sure_it_is(tables: ModuleType) -> None:
    rows, device = _timed(tables.times, factor=1.7, spread=0.02)
    known = tables.times.prepare(rows, device, forward=False)
    found = tables.times.left_out(known, device, [one.row.make for one in known], forward=False)
    assert sorted(abs(found))[len(found) // 2] < 0.06


def test_the_makes_of_models_are_told_by_their_names(tables: ModuleType) -> None:
    names = ("tf_efficientnet_b0", "efficientnetv2_s", "seresnext50_32x4d", "deit3_base_patch16_224")
    makes = [tables.times.make_of(name) for name in names]
    assert makes == ["efficientnet", "efficientnet", "resne", "deit"]


# -- losses -----------------------------------------------------------------------------------


def test_a_law_of_loss_is_found_again_from_its_own_points(tables: ModuleType) -> None:
    import numpy as np

    from zoo.recommender.priors import read_priors

    law = read_priors().loss[0]
    sizes = [(n, d) for n in np.geomspace(1e8, 1e10, 6) for d in np.geomspace(1e9, 1e11, 6)]
    rows = np.array([(n, d, law.loss(n, d)) for n, d in sizes])
    found = tables.losses.fit_loss(rows, law)
    assert max(abs(found.loss(n, d) / law.loss(n, d) - 1) for n, d in sizes) < 0.002


# -- the script -------------------------------------------------------------------------------


def test_without_tables_it_says_in_one_line_what_it_needs(tmp_path: Path) -> None:
    for arguments in ((), ("--evidence", str(tmp_path / "nowhere"))):
        done = _run(*arguments)
        assert done.returncode == 1
        (line,) = done.stderr.splitlines()
        assert line.startswith("recommend.py: ")
        assert "--evidence" in line


@pytest.mark.slow
def test_the_smoke_run_goes_through_everything() -> None:
    done = _run("--smoke", "--fit")
    assert done.returncode == 0, done.stderr
    for told in ("VTAB-1k: our static pick", "rtx-4090 to rtx-5090: ten timed models", "[[speed]]"):
        assert told in done.stdout
