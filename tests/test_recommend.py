"""What is recommended, what is ruled out and why, and what is said where nothing is known."""

from __future__ import annotations

import importlib
import json
import math
import random
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

import zoo
from zoo.recommender import Calibration, Recommendation, estimate_memory, estimate_seconds, load_at, recommend
from zoo.recommender.facts import shape_of
from zoo.recommender.render import head_lines, table, tail_lines
from zoo.recommender.score import TAILS, ScoreModel
from zoo.registry import Plugin, Registry, installed
from zoo.specs import TaskSpec
from zoo.units import parse_seconds

GB = 10**9
TASK = "toy-classification"  # a task of its own, of which no published study or shipped result speaks
IMAGES = zoo.ImageInput(channels=3, height=32, width=32)
PROBLEM = zoo.Problem(task=TASK, input=IMAGES, output=zoo.Classes(count=10), samples=2000)
GPU = zoo.Device(
    spec=zoo.DeviceSpec(
        name="toy-gpu",
        kind="cuda",
        memory_bytes=8 * GB,
        bandwidth_bytes=400 * GB,
        peak_flops={"fp32": 10e12, "bf16": 40e12},
        source="made up",
    ),
    free_bytes=8 * GB,
)


def _facts(parameters: int = 1_000_000, macs: int = 50_000_000, activations: int = 2_000_000) -> zoo.Facts:
    return zoo.Facts(
        parameters=parameters,
        macs=macs,
        activation_bytes={"fp32": activations, "bf16": activations // 2},
        largest_tensor_bytes={"fp32": activations // 10, "bf16": activations // 20},
    )


ORDINARY = _facts()


def _model(name: str, facts: zoo.Facts | None = ORDINARY, **fields: Any) -> zoo.ModelSpec:
    settings: dict[str, Any] = {"family": "cnn", "tasks": (TASK,), "reference": PROBLEM, **fields}
    return zoo.ModelSpec(name=name, builder="toy:build", facts=facts, **settings)


def _weights(model: str, tag: str = "big", **fields: Any) -> zoo.WeightsSpec:
    settings = {"license": "mit", "problem": PROBLEM, **fields}
    return zoo.WeightsSpec(
        tag=tag, model=f"toy/{model}", source=f"hf://toy/{model}/a.safetensors", **settings
    )


def _result(model: str, score: float, *, problem: zoo.Problem = PROBLEM, dataset: str = "a", **fields: Any):
    here = problem.replace(samples=(problem.samples or 0) + 100)  # near the user's problem, not the very one
    return zoo.Evidence(
        model=f"toy/{model}", problem=here, source="a test", dataset=dataset, score=score, **fields
    )


class Toy:
    """Makes registries of a plugin `toy`, a package in `folder` that brings what it is given."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        package = folder / "toy_plugin"
        package.mkdir()
        (package / "__init__.py").touch()
        monkeypatch.syspath_prepend(folder)
        monkeypatch.delitem(sys.modules, "toy_plugin", raising=False)
        self._module = importlib.import_module("toy_plugin")

    def __call__(
        self,
        models: Sequence[zoo.ModelSpec],
        evidence: Sequence[zoo.Evidence] = (),
        weights: Sequence[zoo.WeightsSpec] = (),
        *,
        metric: str = "accuracy",
        maximize: bool = True,
        unit: str = "fraction",
    ) -> Registry:
        task = TaskSpec(
            name=TASK,
            implementation="toy:task",
            metric=metric,
            maximize=maximize,
            unit=unit,  # type: ignore[arg-type]
        )
        brought = {
            "zoo_models": models,
            "zoo_evidence": evidence,
            "zoo_weights": weights,
            "zoo_tasks": [task],
        }
        for hook, records in brought.items():
            setattr(self._module, hook, _hook(hook, records))
        return Registry([Plugin("toy", "toy_plugin")])


def _hook(name: str, records: Sequence[Any]) -> Any:
    def hook() -> list[Any]:
        return list(records)

    hook.__name__ = name
    return zoo.hookimpl(hook)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ZOO_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub-home"))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    monkeypatch.delenv("ZOO_OFFLINE", raising=False)
    monkeypatch.delenv("ZOO_STRICT", raising=False)
    return tmp_path


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Toy]:
    yield Toy(tmp_path, monkeypatch)
    sys.modules.pop("toy_plugin", None)


def _ask(registry: Registry, budget: zoo.Budget | None = None, **options: Any) -> Recommendation:
    problem = options.pop("problem", PROBLEM)
    device = options.pop("device", GPU)
    return recommend(registry, problem, device, budget or zoo.Budget(), **options)


def _names(answer: Recommendation) -> list[str]:
    return [choice.name for choice in answer.recommendations]


# -- scores -----------------------------------------------------------------------------------


def test_the_model_with_better_results_comes_first_and_flipping_them_flips_the_order(toy: Toy) -> None:
    models = [_model("one"), _model("two")]
    for better, worse in (("one", "two"), ("two", "one")):
        evidence = [
            _result(name, score, dataset=dataset)
            for dataset in "abcd"
            for name, score in ((better, 0.95), (worse, 0.70))
        ]
        answer = _ask(toy(models, evidence))
        assert _names(answer)[0] == f"toy/{better}"
        first, second = (choice.score for choice in answer.recommendations)
        assert first
        assert second
        assert first.value > second.value


def test_less_is_better_where_the_task_says_so(toy: Toy) -> None:
    evidence = [
        _result(name, score, dataset=dataset)
        for dataset in "abcd"
        for name, score in (("one", 1.2), ("two", 2.4))
    ]
    registry = toy([_model("one"), _model("two")], evidence, metric="loss", maximize=False, unit="number")
    answer = _ask(registry)
    assert _names(answer)[0] == "toy/one"
    score = answer.recommendations[0].score
    assert score
    assert 0.5 < score.low < score.value < score.high < 3.0


def test_without_evidence_no_score_is_made_up_and_the_answer_says_so(toy: Toy) -> None:
    cheap, dear = _model("zz-cheap", _facts(macs=10**6)), _model("aa-dear", _facts(macs=10**9))
    answer = _ask(toy([dear, cheap]), objective="accuracy")
    assert all(choice.score is None for choice in answer.recommendations)
    assert all("not enough evidence" in choice.reasons[0] for choice in answer.recommendations)
    assert any("not enough evidence" in note for note in answer.notes)
    assert _names(answer) == ["toy/zz-cheap", "toy/aa-dear"]  # by cost, not by name
    assert set(answer.tied) == set(_names(answer))


def test_a_model_without_results_is_judged_by_its_family_and_with_less_confidence(toy: Toy) -> None:
    evidence = [
        _result(name, score, dataset=dataset)
        for dataset in "abcdef"
        for name, score in (("cnn-1", 0.92), ("cnn-2", 0.90), ("mlp-1", 0.60), ("mlp-2", 0.62))
    ]
    models = [
        *(_model(f"cnn-{number}") for number in (1, 2, 3)),
        *(_model(f"mlp-{number}", family="mlp") for number in (1, 2, 3)),
    ]
    answer = _ask(toy(models, evidence), top=6)
    scores = {choice.model: choice.score for choice in answer.recommendations}
    assert scores["toy/mlp-3"].value < scores["toy/cnn-3"].value  # type: ignore[union-attr]
    assert "not enough evidence on this model" in _choice(answer, "toy/cnn-3").reasons[0]
    widths = {name: _width(score) for name, score in scores.items()}
    assert widths["toy/cnn-3"] > widths["toy/cnn-1"]


def _choice(answer: Recommendation, model: str) -> Any:
    return next(choice for choice in answer.recommendations if choice.model == model)


def _width(score: Any) -> float:
    low, high = (math.log(value / (1 - value)) for value in (score.low, score.high))
    return high - low


def test_results_on_near_problems_count_more_than_those_on_far_ones(toy: Toy) -> None:
    far = PROBLEM.replace(samples=2_000_000, output=zoo.Classes(count=1000))
    evidence = [
        record
        for dataset in "abc"
        for record in (
            _result("near", 0.9, dataset=f"near-{dataset}"),
            _result("far", 0.8, dataset=f"near-{dataset}"),
            _result("near", 0.7, dataset=f"far-{dataset}", problem=far),
            _result("far", 0.85, dataset=f"far-{dataset}", problem=far),
        )
    ]
    registry = toy([_model("near"), _model("far")], evidence)
    assert _names(_ask(registry))[0] == "toy/near"
    assert _names(_ask(registry, problem=far, device=_roomy(999 * GB)))[0] == "toy/far"


def test_an_interval_widens_with_the_distance_of_the_evidence(toy: Toy) -> None:
    evidence = [_result(name, 0.9, dataset=dataset) for dataset in "abcd" for name in ("one", "two")]
    registry = toy([_model("one"), _model("two")], evidence)
    widths = [
        _width(
            _ask(registry, problem=PROBLEM.replace(samples=samples), device=_roomy(999 * GB))
            .recommendations[0]
            .score
        )
        for samples in (2_000, 20_000, 2_000_000)
    ]
    assert widths == sorted(widths)
    assert widths[0] < 0.9 * widths[-1]


def test_what_was_measured_on_the_very_problem_is_what_is_expected(toy: Toy) -> None:
    known = zoo.Evidence(model="toy/one", problem=PROBLEM, source="a test", dataset="mine", score=0.83)
    answer = _ask(toy([_model("one"), _model("two")], [known]))
    choice = _choice(answer, "toy/one")
    assert choice.score.value == pytest.approx(0.83, abs=0.001)
    assert choice.score.high - choice.score.low < 0.1
    assert "measured on this very problem" in choice.reasons[0]
    other = _choice(answer, "toy/two").score
    assert other.high - other.low > 0.2


def test_seeds_that_differ_widen_what_a_single_one_promises(toy: Toy) -> None:
    def width(**fields: Any) -> float:
        known = zoo.Evidence(
            model="toy/one", problem=PROBLEM, source="a test", dataset="mine", score=0.99, **fields
        )
        others = [_result("two", 0.99, dataset=d, seeds=5, spread=0.006) for d in "abc"]
        score = _choice(_ask(toy([_model("one"), _model("two")], [known, *others])), "toy/one").score
        return float(score.high - score.low)

    assert width(seeds=1) > 0.008
    assert width(seeds=1) > 1.2 * width(seeds=5)


def test_nobody_is_expected_to_do_worse_than_one_who_guesses(toy: Toy) -> None:
    two = PROBLEM.replace(output=zoo.Classes(count=2))
    registry = toy([_model("near"), _model("other")], [_result("near", 0.45, problem=two)])
    for choice in _ask(registry, problem=two).recommendations:
        assert choice.score is not None
        assert choice.score.low == choice.score.value == 0.5 < choice.score.high


def test_an_estimate_names_the_results_it_rests_on(toy: Toy) -> None:
    evidence = [_result(name, 0.9, dataset=d) for d in "ab" for name in ("one", "two")]
    score = _ask(toy([_model("one"), _model("two")], evidence)).recommendations[0].score
    assert score
    assert score.source.startswith("4 results of 2 models on 2 data sets (a test)")


def test_results_of_steps_too_small_to_normalise_say_little_of_ample_ones(toy: Toy) -> None:
    """On the sets `a` to `c` one model fails, trained there a sample at a time; on `d` to `f` it leads."""
    evidence = [
        _result(name, score, dataset=dataset).replace(batch_size=batch)
        for dataset, batch in (("a", 1), ("b", 1), ("c", 1), ("d", 16), ("e", 16), ("f", 16))
        for name, score in (("one", 0.3 if batch == 1 else 0.95), ("two", 0.8))
    ]
    models = toy([_model("one"), _model("two")], evidence).models
    task = TaskSpec(name=TASK, implementation="toy:task", metric="accuracy")
    for batch, leads in ((None, True), (16, True), (8, True), (1, False)):
        scores = ScoreModel(task, PROBLEM, evidence, models, batch=batch)
        one, two = (scores.predict(models[f"toy/{name}"], None) for name in ("one", "two"))
        assert one
        assert two
        assert (one.mean > two.mean) == leads


def test_the_farther_a_studys_problems_the_less_sure_the_level() -> None:
    """Published difficulties hold for images of 224 x 224."""
    registry = installed()
    sure = []
    for side in (224, 64, 8):
        image = zoo.ImageInput(channels=3, height=side, width=side)
        problem = zoo.Problem(
            task="image-classification", input=image, output=zoo.Classes(count=20), samples=1000
        )
        scores = ScoreModel(registry.task(problem.task), problem, [], registry.models)
        found = scores.predict(registry.models["cnn/resnet20"], None)
        assert found
        sure.append(found.deviation)
    assert sure[0] < sure[1] < sure[2]


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    """Drawn from the model that is assumed, but for the tails, leaving out each data set in turn."""
    draw = random.Random(3)
    task = TaskSpec(name=TASK, implementation="toy:task", metric="accuracy")
    names = [f"m{number}" for number in range(6)]
    models = Registry([]).models  # none installed: results of unknown models are still results
    advantage = {name: draw.gauss(0, 0.5) for name in names}
    truth = {
        (name, dataset): difficulty + advantage[name] + draw.gauss(0, 0.5)
        for dataset in range(25)
        for difficulty in [draw.gauss(1.5, 1.0)]
        for name in names
    }
    evidence = {
        key: _result(key[0], 1 / (1 + math.exp(-value)), dataset=str(key[1])) for key, value in truth.items()
    }
    plugin = Plugin("toy", "toy_plugin")
    from zoo.registry import Model

    installed = {f"toy/{name}": Model(_model(name), plugin) for name in names}
    assert not models
    hits = []
    for dataset in range(25):
        seen = [record for (_, other), record in evidence.items() if other != dataset]
        scores = ScoreModel(task, PROBLEM, seen, installed)
        for name in names:
            found = scores.predict(installed[f"toy/{name}"], None)
            assert found
            hits.append(abs(found.mean - truth[name, dataset]) < 1.2816 * found.deviation / TAILS)
    assert 0.72 < sum(hits) / len(hits) < 0.92


# -- published findings -----------------------------------------------------------------------

PHOTOS = zoo.Problem(
    task="image-classification",
    input=zoo.ImageInput(channels=3, height=224, width=224),
    output=zoo.Classes(count=20),
    samples=1000,
)


def _predict(problem: zoo.Problem, *, family: str = "cnn", top1: float | None = None, tag: str = "") -> float:
    from zoo.registry import Model

    task = TaskSpec(name="image-classification", implementation="toy:task", metric="accuracy")
    tasks = {"tasks": ("image-classification",), "reference": PHOTOS}
    metrics = {} if top1 is None else {"top1": top1}
    weights = [_weights("net", tag, metrics=metrics, problem=PHOTOS.replace(samples=None))] if tag else []
    model = Model(_model("net", family=family, **tasks), Plugin("toy", "toy_plugin"), tuple(weights))
    found = ScoreModel(task, problem, [], {model.name: model}).predict(model, weights[0] if weights else None)
    assert found
    return found.mean


def test_pretrained_weights_are_worth_more_the_fewer_samples_there_are() -> None:
    gains = []
    for samples in (100, 1000, 100_000, 10_000_000):
        problem = PHOTOS.replace(samples=samples)
        gains.append(_predict(problem, top1=0.78, tag="a1_in1k") - _predict(problem, family="mlp"))
    assert gains == sorted(gains, reverse=True)
    assert gains[1] > 1.0


def test_weights_that_did_better_at_imagenet_are_expected_to_transfer_better() -> None:
    assert _predict(PHOTOS, top1=0.85, tag="in1k") > _predict(PHOTOS, top1=0.75, tag="in1k")
    assert _predict(PHOTOS, top1=0.80, tag="in12k") > _predict(PHOTOS, top1=0.80, tag="in1k")


def test_convolutions_are_expected_to_lead_from_scratch_on_few_images_only() -> None:
    many = PHOTOS.replace(samples=1_000_000)
    assert _predict(PHOTOS, family="cnn") > _predict(PHOTOS, family="transformer")
    assert _predict(many, family="cnn") == _predict(many, family="transformer")


# -- limits -----------------------------------------------------------------------------------


def test_small_images_from_scratch_go_to_networks_that_were_made_for_them() -> None:
    image = zoo.ImageInput(channels=3, height=32, width=32)
    small = zoo.Problem(
        task="image-classification", input=image, output=zoo.Classes(count=10), samples=20_000
    )
    answer = recommend(installed(), small, GPU, zoo.Budget(), pretrained=False, outcomes=(), calibrations={})
    first = answer.recommendations[0]
    assert first.model.startswith("cnn/")
    assert first.score is not None
    assert 0.85 < first.score.value < 0.97
    assert "CIFAR-10" in first.reasons[0]


def test_what_may_need_more_memory_than_there_is_is_ruled_out_with_figures(toy: Toy) -> None:
    models = [_model("small"), _model("large", _facts(parameters=400_000_000))]
    answer = _ask(toy(models), zoo.Budget(memory_bytes=6 * GB))
    assert _names(answer) == ["toy/small"]
    (rejection,) = answer.rejected
    assert (rejection.model, rejection.limit, rejection.available) == ("toy/large", "memory", 6 * GB)
    assert isinstance(rejection.needed, float)
    assert rejection.needed > 16 * 400_000_000


def test_it_is_the_upper_bound_that_must_fit(toy: Toy) -> None:
    registry = toy([_model("net", _facts(parameters=200_000_000))])
    estimate = _ask(registry, device=_roomy(64 * GB)).recommendations[0].memory_bytes
    assert estimate
    between = zoo.Budget(memory_bytes=round((estimate.value + estimate.high) / 2))
    assert _ask(registry, between).rejected[0].limit == "memory"
    assert not _ask(registry, zoo.Budget(memory_bytes=round(1.3 * estimate.value))).rejected


def _roomy(free: int) -> zoo.Device:
    return GPU.replace(free_bytes=free)


def test_more_memory_never_makes_fewer_models_fit(toy: Toy) -> None:
    draw = random.Random(1)
    models = [
        _model(f"m{number}", _facts(10 ** draw.randint(5, 9), activations=10 ** draw.randint(4, 9)))
        for number in range(40)
    ]
    registry = toy(models)
    fitting: set[str] = set()
    for memory in (GB // 2, GB, 2 * GB, 4 * GB, 8 * GB, 16 * GB, 32 * GB, 256 * GB):
        now = set(_names(_ask(registry, zoo.Budget(memory_bytes=memory), top=40)))
        assert fitting <= now
        fitting = now
    assert len(fitting) > 30


def test_what_others_hold_of_the_memory_is_not_to_be_had(toy: Toy) -> None:
    registry = toy([_model("net", _facts(parameters=200_000_000))])
    assert _ask(registry, device=_roomy(8 * GB)).recommendations
    busy = _ask(registry, device=_roomy(2 * GB))
    assert not busy.recommendations
    assert busy.rejected[0].available == 2 * GB
    assert _ask(registry, zoo.Budget(memory_bytes=8 * GB), device=_roomy(2 * GB)).recommendations


def test_a_batch_that_does_not_fit_goes_in_pieces(toy: Toy) -> None:
    registry = toy([_model("net", _facts(activations=400_000_000))])
    whole = _ask(registry, device=_roomy(80 * GB)).recommendations[0]
    pieces = _ask(registry, device=_roomy(8 * GB)).recommendations[0]
    assert whole.recipe.accumulate == 1
    assert pieces.recipe.accumulate > 1
    assert pieces.recipe.batch_size == whole.recipe.batch_size
    assert pieces.recipe.eval_batch_size < whole.recipe.eval_batch_size
    assert f"-o accumulate={pieces.recipe.accumulate}" in pieces.command
    assert f"-o eval_batch_size={pieces.recipe.eval_batch_size}" in pieces.command
    assert any("pieces" in reason for reason in pieces.reasons)


def test_what_may_take_too_long_is_ruled_out_with_figures(toy: Toy) -> None:
    models = [_model("quick"), _model("slow", _facts(macs=10**12))]
    answer = _ask(toy(models), zoo.Budget(seconds=600))
    assert _names(answer) == ["toy/quick"]
    (rejection,) = answer.rejected
    assert (rejection.limit, rejection.available) == ("time", 600)
    assert isinstance(rejection.needed, float)
    assert rejection.needed > 600


def test_models_with_too_many_parameters_are_ruled_out(toy: Toy) -> None:
    models = [_model("small"), _model("large", _facts(parameters=5_000_000))]
    (rejection,) = _ask(toy(models), zoo.Budget(parameters=2_000_000)).rejected
    assert (rejection.model, rejection.limit) == ("toy/large", "parameters")
    assert (rejection.needed, rejection.available) == (5_000_000, 2_000_000)


def test_only_allowed_licences_are_recommended(toy: Toy) -> None:
    models = [_model("free"), _model("bound", license="AGPL-3.0")]
    weights = [
        _weights("free", "nc", license="cc-by-nc-4.0"),
        _weights("free", "ok"),
        _weights("free", "odd", license=""),
    ]
    answer = _ask(toy(models, weights=weights), zoo.Budget(licenses=("apache-2.0", "MIT")), pretrained=None)
    assert {choice.model for choice in answer.recommendations} == {"toy/free"}
    assert {(entry.model, entry.needed) for entry in answer.rejected} == {
        ("toy/bound", "AGPL-3.0"),
        ("toy/free.nc", "cc-by-nc-4.0"),
        ("toy/free.odd", "none stated"),
    }
    assert all(entry.limit == "license" for entry in answer.rejected)


def test_for_commercial_use_the_data_counts_too_and_what_is_not_known_is_left_out(toy: Toy) -> None:
    models = [_model("free"), _model("odd", license="our-own-license")]
    weights = [
        _weights("free", "ok", data_license="CC-BY-4.0"),
        _weights("free", "nc", license="cc-by-nc-4.0"),
        _weights("free", "data", data_license="CC-BY-NC-4.0"),
        _weights("free", "none", license=""),
    ]
    answer = _ask(toy(models, weights=weights), zoo.Budget(commercial=True), pretrained=None)
    assert {choice.weights for choice in answer.recommendations} <= {"ok", None}
    assert {(entry.model, entry.needed, entry.available) for entry in answer.rejected} == {
        ("toy/odd", "our-own-license", "for commercial use"),
        ("toy/free.nc", "cc-by-nc-4.0", "for commercial use"),
        ("toy/free.data", "CC-BY-NC-4.0", "for commercial use"),
        ("toy/free.none", "none stated", "for commercial use"),
    }


def test_where_nothing_fits_the_answer_says_what_would(toy: Toy) -> None:
    models = [_model("large", _facts(400_000_000)), _model("larger", _facts(800_000_000))]
    answer = _ask(toy(models), zoo.Budget(memory_bytes=2 * GB))
    assert answer.recommendations == ()
    assert any("nothing fits" in note and "toy/large needs least" in note for note in answer.notes)


def test_a_model_whose_facts_are_missing_comes_last_and_is_said_to_be_unknown(toy: Toy) -> None:
    evidence = [
        _result(name, score, dataset=dataset)
        for dataset in "abc"
        for name, score in (("strange", 0.95), ("traced", 0.8))
    ]
    answer = _ask(toy([_model("strange", None), _model("traced")], evidence))
    assert _names(answer) == ["toy/traced", "toy/strange"]
    strange = answer.recommendations[1]
    assert (strange.fits, strange.memory_bytes, strange.seconds) == ("unknown", None, None)
    assert any("never traced" in reason for reason in strange.reasons)
    assert answer.recommendations[0].fits == "yes"


def test_where_a_devices_speed_is_not_known_no_time_is_made_up(toy: Toy) -> None:
    device = GPU.replace(spec=GPU.spec.replace(peak_flops={}))
    answer = _ask(toy([_model("net")]), device=device)
    assert answer.recommendations[0].seconds is None
    assert any("no time can be foretold" in note for note in answer.notes)
    limited = _ask(toy([_model("net")]), zoo.Budget(seconds=60), device=device)
    assert limited.recommendations[0].fits == "unknown"


# -- weights ----------------------------------------------------------------------------------


def test_weights_are_candidates_or_not_as_asked(toy: Toy) -> None:
    registry = toy([_model("net"), _model("bare")], weights=[_weights("net")])
    assert set(_names(_ask(registry, pretrained=True))) == {"toy/net.big"}
    assert set(_names(_ask(registry, pretrained=False))) == {"toy/net", "toy/bare"}
    assert _ask(registry, pretrained=True).recommendations[0].command == "zoo train toy/net.big --data DATA"


def test_a_model_is_recommended_once_with_its_best_weights(toy: Toy) -> None:
    weights = [_weights("net", "good"), _weights("net", "poor")]
    evidence = [
        _result("net", score, dataset=dataset, weights=tag)
        for dataset in "abcd"
        for tag, score in (("good", 0.95), ("poor", 0.6), ("", 0.7))
    ]
    assert _names(_ask(toy([_model("net")], evidence, weights))) == ["toy/net.good"]


@pytest.mark.parametrize(
    "trained",
    [
        PHOTOS,
        zoo.Problem(task=TASK, input=zoo.SeriesInput(channels=3, length=9), output=zoo.Classes(count=2)),
    ],
)
def test_weights_for_another_task_or_input_are_no_candidates(toy: Toy, trained: zoo.Problem) -> None:
    registry = toy([_model("net")], weights=[_weights("net", problem=trained)])
    assert _names(_ask(registry)) == ["toy/net"]


def test_offline_only_what_is_on_this_machine_is_recommended(toy: Toy, home: Path) -> None:
    file = home / "kept.safetensors"
    file.write_bytes(b"")
    cached = home / "hub-home/hub/models--toy--cached/snapshots/0a1b/a.safetensors"
    cached.parent.mkdir(parents=True)
    cached.write_bytes(b"")
    names = ("kept", "cached", "remote")
    weights = [_weights("kept").replace(source=f"file:{file}"), _weights("cached"), _weights("remote")]
    registry = toy([_model(name) for name in names], weights=weights)
    assert len(_names(_ask(registry, pretrained=True))) == 3
    answer = _ask(registry, pretrained=True, offline=True)
    assert set(_names(answer)) == {"toy/kept.big", "toy/cached.big"}
    assert [(entry.model, entry.limit) for entry in answer.rejected] == [("toy/remote.big", "offline")]


# -- order ------------------------------------------------------------------------------------


def test_objectives_weigh_score_against_time_and_size(toy: Toy) -> None:
    models = [
        _model("best", _facts(50_000_000, 5 * 10**9)),
        _model("quick", _facts(1_000_000, 10**6)),
        _model("tiny", _facts(10_000, 2 * 10**9)),
    ]
    evidence = [
        _result(name, score, dataset=dataset)
        for dataset in "abcd"
        for name, score in (("best", 0.90), ("quick", 0.86), ("tiny", 0.86))
    ]
    registry = toy(models, evidence)
    assert _names(_ask(registry, objective="accuracy"))[0] == "toy/best"
    assert _names(_ask(registry, objective="speed"))[0] == "toy/quick"
    assert _names(_ask(registry, objective="size"))[0] == "toy/tiny"
    assert any("ten times the training time" in note for note in _ask(registry).notes)


def test_a_cheap_baseline_is_always_offered(toy: Toy) -> None:
    models = [_model(f"dear-{number}", _facts(macs=10**10)) for number in range(5)]
    models.append(_model("cheap", _facts(macs=10**6)))
    evidence = [
        _result(spec.name, 0.75 if spec.name == "cheap" else 0.95, dataset=dataset)
        for dataset in "abcd"
        for spec in models
    ]
    answer = _ask(toy(models, evidence), objective="accuracy")
    assert len(answer.recommendations) == 4
    assert [choice.role for choice in answer.recommendations] == ["pick"] * 3 + ["baseline"]
    baseline, first = answer.recommendations[-1], answer.recommendations[0]
    assert baseline.model == "toy/cheap"
    assert baseline.seconds.value < first.seconds.value  # type: ignore[union-attr]
    assert "baseline" in baseline.reasons[-1]


def test_only_models_that_cannot_be_told_apart_are_tied(toy: Toy) -> None:
    scores = {"one": 0.951, "two": 0.950, "three": 0.05}
    evidence = [_result(name, scores[name], dataset=str(d)) for d in range(20) for name in scores]
    answer = _ask(toy([_model(name) for name in scores], evidence))
    assert set(answer.tied) == {"toy/one", "toy/two"}


def test_those_that_are_tied_may_be_tried_where_they_would_be_trained(toy: Toy) -> None:
    models = [_model(name) for name in ("one", "two")]
    here = _ask(toy(models))
    assert here.tied
    assert here.probe_seconds is not None
    whole = sum(choice.seconds.value for choice in here.recommendations if choice.seconds)
    assert here.probe_seconds == pytest.approx(max(30, 0.3 * whole), rel=0.01)
    told = dict(tail_lines(here))["tied"]
    assert told.startswith("1 and 2 cannot be told apart by what is known; to try them: --probe ")
    assert parse_seconds(told.rpartition(" ")[2]) == pytest.approx(here.probe_seconds, rel=0.1)
    elsewhere = _ask(toy(models), device=GPU.replace(free_bytes=None))
    assert elsewhere.probe_seconds is None
    assert dict(tail_lines(elsewhere))["tied"] == "1 and 2 cannot be told apart by what is known"


def test_a_plugin_with_a_broken_recipe_loses_that_model_alone(toy: Toy) -> None:
    registry = toy([_model("sound"), _model("broken", recipes={"*": "missing.toml"})])
    answer = _ask(registry)
    assert _names(answer) == ["toy/sound"]
    assert any("missing.toml" in note for note in answer.notes)


# -- costs ------------------------------------------------------------------------------------


def _load(facts: zoo.Facts, problem: zoo.Problem = PROBLEM, **fields: Any) -> Any:
    spec = _model("net", facts, **fields)
    return load_at(spec, problem, shape_of(problem))


def test_memory_without_activations_is_parameters_and_what_the_optimizer_keeps() -> None:
    facts = zoo.Facts(parameters=500_000_000, macs=1)
    memory = {
        name: estimate_memory(_load(facts), zoo.Recipe(optimizer=name, precision="fp32"), GPU).value
        for name in ("sgd", "adamw", "lion", "adan")
    }
    parameter_bytes = 4 * 500_000_000 * 1.05
    assert memory["adamw"] - memory["sgd"] == pytest.approx(parameter_bytes, rel=0.02)
    assert memory["lion"] == memory["sgd"]
    assert memory["adan"] - memory["adamw"] == pytest.approx(2 * parameter_bytes, rel=0.02)
    assert memory["adamw"] > 16 * 500_000_000


def test_memory_of_activations_grows_with_the_batch_and_halves_in_bf16() -> None:
    load = _load(_facts(parameters=1000, activations=50_000_000), PROBLEM.replace(samples=None))
    recipes = [zoo.Recipe(batch_size=batch, eval_batch_size=1, precision="fp32") for batch in (32, 64, 96)]
    small, middle, large = (estimate_memory(load, recipe, GPU).value for recipe in recipes)
    assert large - middle == pytest.approx(middle - small, rel=0.05)
    assert middle - small > 32 * 50_000_000
    half = estimate_memory(load, recipes[1].replace(precision="bf16"), GPU).value
    assert half < 0.65 * middle


def test_the_data_is_kept_on_the_device_where_it_has_room_and_counted() -> None:
    recipe = zoo.Recipe()
    none, few, many = (
        estimate_memory(_load(_facts(), PROBLEM.replace(samples=samples)), recipe, GPU).value
        for samples in (0, 350_000, 3_500_000)
    )
    assert few - none == pytest.approx(500_000 * 32 * 32 * 3, rel=0.02)
    assert many == none


def test_seconds_follow_the_work_and_the_samples() -> None:
    recipe = zoo.Recipe(epochs=10, batch_size=100)

    def seconds(macs: int, samples: int) -> float:
        facts = zoo.Facts(parameters=1, macs=macs, activation_bytes={"bf16": 0, "fp32": 0})
        estimate = estimate_seconds(_load(facts, PROBLEM.replace(samples=samples)), recipe, GPU)
        assert estimate
        return estimate.value

    start = seconds(1, 1000)
    assert seconds(2 * 10**12, 1000) - start == pytest.approx(2 * (seconds(10**12, 1000) - start), rel=0.05)
    assert seconds(10**12, 2000) - start == pytest.approx(2 * (seconds(10**12, 1000) - start), rel=0.05)
    trained = 6 * 10**12 * 10 * 1000
    assert trained / 40e12 < seconds(10**12, 1000) < 4 * trained / 40e12


def test_two_devices_are_faster_than_one_and_hold_less_each() -> None:
    load, recipe = _load(_facts(macs=10**11, activations=50_000_000)), zoo.Recipe(eval_batch_size=32)
    pair = GPU.replace(count=2)
    one, two = (estimate_seconds(load, recipe, device) for device in (GPU, pair))
    assert one
    assert two
    assert 0.5 < two.value / one.value < 0.75
    assert estimate_memory(load, recipe, pair).value < estimate_memory(load, recipe, GPU).value


def test_costs_of_images_follow_their_pixels_and_those_of_attention_its_square() -> None:
    large = PROBLEM.replace(input=zoo.ImageInput(channels=3, height=64, width=64))
    assert _load(_facts(macs=10), large).macs == 40
    assert _load(_facts(activations=100), large).activation_bytes("fp32") == 400
    tokens = zoo.Problem(
        task=TASK, input=zoo.TokenInput(vocab_size=9, length=100), output=zoo.Classes(count=2), samples=10
    )
    double = tokens.replace(input=zoo.TokenInput(vocab_size=9, length=200))
    facts = _facts(parameters=1000, macs=150_000)  # 100,000 for the parameters, the rest for attention
    assert _load(facts, double, reference=tokens, family="transformer").macs == 2 * 100_000 + 4 * 50_000
    assert _load(facts, double, reference=tokens, family="rnn").macs == 2 * 150_000


def test_weights_are_planned_for_at_their_own_image_size(toy: Toy) -> None:
    trained = PROBLEM.replace(input=zoo.ImageInput(channels=3, height=128, width=128))
    registry = toy([_model("net", _facts(macs=10**9))], weights=[_weights("net", problem=trained)])
    scratch, tuned = (_ask(registry, pretrained=choice).recommendations[0] for choice in (False, True))
    assert tuned.seconds.value > 4 * scratch.seconds.value  # type: ignore[union-attr]


def test_a_calibration_stands_above_the_datasheet(toy: Toy, home: Path) -> None:
    registry = toy([_model("net", _facts(macs=10**11))])
    foreseen = _ask(registry).recommendations[0].seconds
    timed = {"flops": {"bf16": 1e12}, "step_seconds": 0.001, "measured": "2026-01-02"}
    (home / "calibration.json").write_text(json.dumps({"schema": 1, "devices": {"toy-gpu": timed}}))
    answer = _ask(registry)
    measured = answer.recommendations[0].seconds
    assert foreseen
    assert measured
    work = 6 * 10**11 * 10 * 2000 / 1e12
    assert measured.value == pytest.approx(work, rel=0.2)
    assert measured.value > 5 * foreseen.value
    assert "calibrated on this machine 2026-01-02" in measured.source
    assert answer.calibrated == "2026-01-02"


def test_a_calibration_by_the_very_model_foretells_its_time() -> None:
    facts, recipe = _facts(macs=10**11, activations=200_000_000), zoo.Recipe()
    operations, kept = 6 * 10**11, 100_000_000
    timed = Calibration(flops={"bf16": 5e12}, step_seconds=0.0, intensity=operations / kept)
    estimate = estimate_seconds(_load(facts), recipe, GPU, timed)
    assert estimate
    assert estimate.value == pytest.approx(operations * 10 * 2000 / 5e12, rel=0.15)


def test_a_damaged_calibration_is_told_of_in_one_line(toy: Toy, home: Path) -> None:
    (home / "calibration.json").write_text("{")
    with pytest.raises(zoo.ZooError, match=r"calibration\.json cannot be read") as caught:
        _ask(toy([_model("net")]))
    assert "\n" not in str(caught.value)


# -- the answer -------------------------------------------------------------------------------


def test_the_document_has_the_shape_that_others_rely_on(toy: Toy) -> None:
    evidence = [_result(name, 0.9, dataset=d) for d in "ab" for name in ("one", "two")]
    models = [_model("one"), _model("two"), _model("large", _facts(10**9)), _model("strange", None)]
    document = json.loads(json.dumps(_ask(toy(models, evidence)).as_json()))
    assert document["schema"] == 1
    assert {"problem", "device", "budget", "recommendations", "rejected", "notes"} <= set(document)
    assert document["problem"]["samples"] == 2000
    for entry in document["recommendations"]:
        assert {"model", "weights", "fits", "estimate", "recipe", "reasons", "command"} <= set(entry)
        assert set(entry["estimate"]) == {"score", "memory_bytes", "seconds"}
        assert entry["fits"] in ("yes", "unknown")
        for estimate in filter(None, entry["estimate"].values()):
            assert set(estimate) == {"value", "low", "high", "source", "method"}
            assert estimate["low"] <= estimate["value"] <= estimate["high"]
            assert estimate["source"]
            assert estimate["method"]
    assert all(set(entry) == {"model", "limit", "needed", "available"} for entry in document["rejected"])
    assert [entry["model"] for entry in document["rejected"]] == ["toy/large"]
    assert None in [entry["estimate"]["seconds"] for entry in document["recommendations"]]


def test_a_person_reads_the_same(toy: Toy) -> None:
    evidence = [_result(name, 0.9, dataset=d) for d in "ab" for name in ("one", "two")]
    registry = toy([_model("one"), _model("two"), _model("large", _facts(10**9))], evidence)
    answer = _ask(registry, data=["my photos"])
    text = _text(answer)
    assert "2,000 images, 10 classes, 32x32, 3 channels" in text
    assert "toy/one" in text
    assert "accuracy (80%)" in text
    assert "ruled out" in text
    assert "toy/large: memory" in text
    assert "zoo train" in text
    assert "--data 'my photos'" in text


def test_an_answer_without_models_is_rendered_too(toy: Toy) -> None:
    answer = _ask(toy([_model("large", _facts(10**9))]), zoo.Budget(memory_bytes=GB))
    assert table(answer)[1] == []
    assert "nothing fits" in _text(answer)


def _text(answer: zoo.Recommendation) -> str:
    columns, rows = table(answer)
    lines = [*head_lines(answer), columns, *rows, *tail_lines(answer)]
    return "\n".join("  ".join(line) for line in lines)


# -- faults -----------------------------------------------------------------------------------


def test_every_fault_of_a_question_is_told_at_once(toy: Toy) -> None:
    nothing = PROBLEM.replace(samples=0, output=zoo.Classes(count=1))
    with pytest.raises(zoo.SpecError) as caught:
        _ask(toy([_model("net")]), problem=nothing, objective="ballanced", top=0)
    assert len(caught.value.faults) == 4
    message = str(caught.value)
    assert "nothing to train on" in message
    assert "a single class" in message
    assert "did you mean 'balanced'?" in message
    assert "\n" not in message


def test_an_unknown_task_gets_the_closest(toy: Toy) -> None:
    with pytest.raises(zoo.UnknownNameError, match=r"no task named 'toy-clasification'.*toy-classification"):
        _ask(toy([_model("net")]), problem=PROBLEM.replace(task="toy-clasification"))


def test_a_task_that_no_model_does_is_a_fault(toy: Toy) -> None:
    with pytest.raises(zoo.ZooError, match="no installed model does 'toy-classification'"):
        _ask(toy([]))


# -- speed ------------------------------------------------------------------------------------


def test_recommending_imports_neither_torch_nor_numpy() -> None:
    program = """
import sys
import zoo
from zoo.recommender import find_device, recommend
from zoo.recommender.render import head_lines, table, tail_lines
from zoo.registry import Registry, discover
registry = Registry(discover())
problem = zoo.Problem(
    task="image-classification",
    input=zoo.ImageInput(channels=3, height=64, width=64),
    output=zoo.Classes(count=10),
    samples=1000,
)
answer = recommend(registry, problem, find_device(registry, "auto"), zoo.Budget())
assert head_lines(answer) and table(answer) and tail_lines(answer) and answer.as_json()
heavy = {"torch", "timm", "numpy", "datasets", "accelerate", "huggingface_hub"} & set(sys.modules)
assert not heavy, heavy
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
