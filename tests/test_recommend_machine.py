"""What a machine teaches the recommender: how fast it is, what trainings on it took, what a probe shows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from toys import Site

import zoo
from zoo import api, settings
from zoo.cli import main
from zoo.data.dataset import SPLITS, Dataset
from zoo.errors import ZooError
from zoo.limits import Limits
from zoo.recommender.calibration import (
    Calibration,
    Rates,
    Timing,
    fit_timings,
    group_of,
    read_calibrations,
    write_calibration,
)
from zoo.recommender.cost import Cost, Plan
from zoo.recommender.devices import find_device
from zoo.recommender.facts import load_at, shape_of
from zoo.recommender.outcomes import NONE, History, Outcome, keep_outcome, read_outcomes
from zoo.registry import installed
from zoo.runs import CARD, CURVES

FLOPS, BYTE, STEP = 2e11, 1e-9, 0.002  # of a machine that is made up
IMAGES = "image-classification"


# -- how fast it is ---------------------------------------------------------------------------


def _timing(family: str, macs: int, kept: int, *, flops: float = FLOPS, batch: int = 32) -> Timing:
    """As that machine would be timed."""
    seconds = STEP + batch * (6 * macs / flops + kept * BYTE)
    return Timing(family=family, batch=batch, macs=macs, kept=kept, seconds=seconds)


def _timings() -> list[Timing]:
    return [
        Timing(family="", batch=32, macs=1, kept=1, seconds=STEP),
        _timing("cnn", 20_000_000, 400_000),
        _timing("cnn", 10_000_000, 1_600_000),
        _timing("rnn", 10_000_000, 500_000, flops=FLOPS / 4),
    ]


def test_rates_come_out_of_timings_as_they_went_in() -> None:
    found = fit_timings({"fp32": _timings()}, measured="today")
    rates = found.rates["fp32"]
    assert found.step_seconds == STEP
    assert rates.byte_seconds == pytest.approx(BYTE, rel=0.01)
    assert rates.flops_of("cnn") == pytest.approx(FLOPS, rel=0.01)
    assert rates.flops_of("rnn") == pytest.approx(FLOPS / 4, rel=0.01)
    assert FLOPS / 4 < rates.flops_of("mlp") < FLOPS


def test_timings_that_no_rates_explain_give_rates_all_the_same() -> None:
    odd = [*_timings()[:2], _timings()[2]._replace(seconds=0.0001)]
    rates = fit_timings({"fp32": odd}, measured="today").rates["fp32"]
    assert rates.flops_of("cnn") > 0
    assert rates.byte_seconds >= 0


def test_between_two_timed_models_what_is_said_lies_between_theirs() -> None:
    group = group_of(IMAGES, "cnn")
    points = ((10.0, 4.0, 0.01), (1000.0, 1.0, 0.03))
    calibration = Calibration(flops={}, step_seconds=STEP, groups={group: points})
    assert calibration.at(group, 100.0) == pytest.approx((2.0, 0.02))
    assert calibration.at(group, 1.0) == pytest.approx((4.0, 0.01))
    assert calibration.at(group, 1e6) == pytest.approx((1.0, 0.03))
    assert calibration.at(group_of(IMAGES, "rnn"), 100.0) == (1.0, STEP)


def test_of_a_task_whose_models_are_too_slow_to_be_timed_the_family_tells_from_others() -> None:
    known = {
        group_of(IMAGES, "transformer"): ((80.0, 0.8, 0.02), (90.0, 0.4, 0.03)),
        group_of("seq2seq", "transformer"): ((85.0, 0.6, 0.01),),
        group_of(IMAGES, "cnn"): ((85.0, 3.0, 0.5),),
    }
    calibration = Calibration(flops={}, step_seconds=STEP, groups=known)
    assert calibration.at(group_of("language-modeling", "transformer"), 100.0) == (0.6, STEP)


def test_models_are_timed_in_batches_that_are_not_small_and_left_out_where_that_is_slow() -> None:
    """On a machine a hundred times as slow fewer are timed, and those in no smaller batches than 16."""
    from zoo.recipes import resolve_recipe
    from zoo.training.calibrating import _chosen

    registry, counts = installed(), []
    for slower in (1, 100):
        timings = [each._replace(seconds=slower * each.seconds) for each in _timings()]
        found = fit_timings({"fp32": timings}, measured="")
        chosen = list(_chosen(registry, find_device(registry, "cpu"), found))
        for each in chosen:
            usual = resolve_recipe(each.model, each.task).batch_size
            assert min(16, usual) <= each.plan.recipe.batch_size <= 64
        counts.append(len(chosen))
    assert 0 < counts[1] < counts[0]


def test_a_model_that_stalls_once_keeps_what_was_timed_before() -> None:
    from zoo.training.calibrating import _chosen, _time_models

    class Stalling:
        """Times nothing any more after the first two steps."""

        def __init__(self) -> None:
            self.asked: list[str] = []

        def seconds(self, name: str, _: zoo.Recipe) -> float | None:
            self.asked.append(name)
            return 0.1 * len(self.asked) if len(self.asked) <= 2 else None

    registry = installed()
    found = fit_timings({"fp32": _timings()}, measured="")
    first, second = list(_chosen(registry, find_device(registry, "cpu"), found))[:2]
    timer, told = Stalling(), list[str]()
    taken = _time_models([first, second], timer, told.append)  # type: ignore[arg-type]
    assert taken == {first.model.name: [pytest.approx((0.1, 0.2))]}
    assert timer.asked == [first.model.name, first.model.name, second.model.name, first.model.name]
    assert sum("left out" in line for line in told) == 2


def test_what_was_timed_twice_counts_by_its_mean() -> None:
    from zoo.training.calibrating import _chosen, _point

    registry = installed()
    found = fit_timings({"fp32": _timings()}, measured="")
    each = next(_chosen(registry, find_device(registry, "cpu"), found))
    once, twice = _point(each, [(0.03, 0.1)]), _point(each, [(0.02, 0.08), (0.04, 0.12)])
    assert once == pytest.approx(twice)
    assert once is not None
    assert once[1] > 0


def test_a_time_follows_the_rates_of_the_models_family_and_group() -> None:
    registry = installed()
    model, _ = registry.model("cnn/lenet5")
    problem = model.spec.reference
    assert problem is not None
    load = load_at(model.spec, problem, shape_of(problem))
    assert load is not None
    recipe, device = zoo.Recipe(precision="fp32"), find_device(registry, "cpu")

    def work(flops: dict[str, float], factor: float = 1.0) -> float:
        groups = {group_of(IMAGES, "cnn"): ((100.0, factor, STEP),)}
        rates = {"fp32": Rates(flops=flops)}
        calibration = Calibration(flops={"fp32": 1.0}, step_seconds=STEP, rates=rates, groups=groups)
        step = Plan(recipe, device, calibration).step_seconds(load)
        assert step is not None
        return step.value - STEP

    whole = work({"cnn": 1e9, "rnn": 1e12})
    assert whole == pytest.approx(recipe.batch_size * 6 * load.macs / 1e9, rel=0.01)
    assert work({"cnn": 1e9}, factor=3.0) == pytest.approx(3 * whole, rel=0.01)


def test_what_was_measured_is_kept_beside_other_devices() -> None:
    found = fit_timings({"fp32": _timings()}, measured="2026-01-02")
    write_calibration("cpu", found)
    write_calibration("rtx-4090", found.replace(measured="2026-01-03"))
    assert read_calibrations()["cpu"] == found
    assert read_calibrations()["rtx-4090"].measured == "2026-01-03"


FAULTY = """
@zoo.hookimpl
def zoo_models():
    names = ("sound", "loud", "crash", "stall", "refuse")
    return [net(name, builder=f"{__name__}:{name}", reference=PIXELS) for name in names]

sound = build

def loud(problem):
    print("a model that prints")
    return build(problem)

def crash(problem):
    import os
    os.abort()

def stall(problem):
    import time
    time.sleep(60)

def refuse(problem):
    raise ValueError("not today")
"""


def test_a_model_that_ends_the_process_or_stalls_costs_its_own_timing_only(
    install: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    from zoo.training import timing

    install("faulty", FAULTY)
    monkeypatch.setenv("PYTHONPATH", str(install.folder))
    recipe = zoo.Recipe(batch_size=4)
    with timing.Timer(device="cpu") as timer:
        assert timer.seconds("faulty/crash", recipe) is None
        assert timer.seconds("faulty/refuse", recipe) is None
        for name in ("faulty/loud", "faulty/sound"):
            seconds = timer.seconds(name, recipe)
            assert seconds is not None
            assert 0 < seconds < 1
        monkeypatch.setattr(timing, "PATIENCE_SECONDS", 0.5)
        assert timer.seconds("faulty/stall", recipe) is None


@pytest.mark.slow
def test_this_machine_is_calibrated_and_told_of(capsys: pytest.CaptureFixture[str]) -> None:
    _run("devices", "calibrate", "--device", "cpu")
    told = capsys.readouterr()
    assert "billions of operations a second" in told.out
    assert "ms a step of" in told.err
    found = read_calibrations()["cpu"]
    assert all(1e8 < rate < 1e14 for rates in found.rates.values() for rate in rates.flops.values())
    assert group_of(IMAGES, "cnn") in found.groups
    _run("recommend", "--data", "digits", "--device", "cpu")
    assert f"timing calibrated {found.measured}" in capsys.readouterr().out


def _run(*arguments: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    assert not ended.value.code


# -- what trainings took ----------------------------------------------------------------------


def _outcome(model: str = "cnn/lenet5", family: str = "cnn", ratio: float = 3.0, **fields: Any) -> Outcome:
    usual: dict[str, Any] = {
        "device": "cpu",
        "problem": _few().problem,
        "batch_size": 64,
        "predicted_seconds": 10.0,
        "seconds": 10.0 * ratio,
        "predicted_memory_bytes": 1e9,
        "memory_bytes": 1e9 * ratio,
    }
    return Outcome(model=model, family=family, **{**usual, **fields})


def _few(samples: int = 64) -> Dataset:
    whole = zoo.load_dataset("digits")
    splits = {
        split: {name: column[:samples] for name, column in whole.splits[split].items()} for split in SPLITS
    }
    return Dataset(name="few", problem=whole.problem.replace(samples=samples), splits=splits)


def test_what_a_model_took_longer_it_is_expected_to_take_again() -> None:
    one, many = (History([_outcome()] * count, "cpu") for count in (1, 20))
    first, last = (history.seconds("cnn/lenet5", "cnn", "fp32") for history in (one, many))
    assert 1.5 < first.factor < last.factor
    assert last.factor == pytest.approx(3.0, rel=0.05)
    assert Cost(10.0, 0.5).corrected(last).sd < 0.25


def test_a_model_teaches_less_about_others_than_about_itself() -> None:
    history = History([_outcome()] * 3, "cpu")
    itself = history.seconds("cnn/lenet5", "cnn", "fp32").factor
    kin = history.seconds("cnn/fcn", "cnn", "fp32").factor
    other = history.seconds("lstm/classifier", "rnn", "fp32").factor
    assert itself > kin > other > 1


@pytest.mark.parametrize(
    "different",
    [{"device": "rtx-4090"}, {"precision": "bf16"}, {"calibrated": "2026-01-02"}, {"seconds": None}],
)
def test_what_is_not_comparable_teaches_nothing_about_time(different: dict[str, Any]) -> None:
    assert History([_outcome(**different)], "cpu").seconds("cnn/lenet5", "cnn", "fp32") == NONE


def test_memory_is_learnt_of_the_same_model_in_the_same_batches_alone() -> None:
    history = History([_outcome(ratio=1.2)] * 10, "cpu")
    assert history.memory("cnn/lenet5", 64, "fp32").factor == pytest.approx(1.2, rel=0.02)
    assert history.memory("cnn/lenet5", 128, "fp32") == NONE
    assert history.memory("cnn/fcn", 64, "fp32") == NONE


def test_a_damaged_file_of_outcomes_is_told_of_in_one_line() -> None:
    keep_outcome(_outcome())
    assert read_outcomes() == [_outcome()]
    path = settings.home() / "outcomes.jsonl"
    path.write_bytes(path.read_bytes() + b"{\n")
    with pytest.raises(ZooError, match=r"outcomes\.jsonl cannot be read") as caught:
        read_outcomes()
    assert "\n" not in str(caught.value)


def test_a_finished_training_is_kept_and_the_next_prediction_uses_it(tmp_path: Path) -> None:
    data = _few()
    first = zoo.train("cnn/lenet5", data, output=tmp_path / "first", settings={"precision": "fp32"})
    (kept,) = read_outcomes()
    assert (kept.model, kept.device, kept.batch_size) == ("cnn/lenet5", "cpu", first.record.recipe.batch_size)
    assert kept.predicted_seconds == pytest.approx(first.record.predicted["seconds"]["value"])
    assert kept.score == first.metrics["accuracy"]
    slower = kept.replace(seconds=50 * (kept.predicted_seconds or 1.0))
    (settings.home() / "outcomes.jsonl").unlink()
    for _ in range(5):
        keep_outcome(slower)
    again = zoo.train("cnn/lenet5", data, output=tmp_path / "again", settings={"precision": "fp32"})
    before, after = (run.record.predicted["seconds"] for run in (first, again))
    assert after["value"] > 10 * before["value"]
    assert "on this machine" in after["method"]
    assert read_outcomes()[-1].predicted_seconds == pytest.approx(before["value"], rel=0.01)
    question = api.question(data.problem, device="cpu", pretrained=False)
    (candidate,) = [each for each in question.candidates if each.name == "cnn/lenet5"]
    choice = question.choice(candidate, question.ranked[0])
    assert any("measured on this very problem" in reason for reason in choice.reasons)


def test_a_training_that_was_hurried_teaches_no_score(tmp_path: Path) -> None:
    limits = Limits(max_seconds=60.0)
    zoo.train("cnn/lenet5", _few(), output=tmp_path / "run", limits=limits)
    assert read_outcomes()[0].score is None


# -- what a probe shows -----------------------------------------------------------------------


@pytest.mark.slow
def test_a_probe_tries_several_models_and_says_so() -> None:
    from zoo.probing import probe

    data = _few(200)
    lines: list[str] = []
    found = probe(
        lambda: api.question(data=data, device="cpu", pretrained=False), data, 20.0, tell=lines.append
    )
    first = found.answer.recommendations[0]
    assert len(found.trials) >= 2
    assert len(lines) >= len(found.trials)
    assert found.seconds < 60
    tried = {trial.candidate.name: trial.score for trial in found.trials}
    assert first.name in tried or "not tried" in first.reasons[0]
    assert any(choice.role == "baseline" for choice in found.answer.recommendations)
    assert {trial["model"] for trial in found.as_json()["probe"]["trials"]} == set(tried)


def _trial(candidate: Any, score: float, *, share: float = 1.0, judged: int = 1000) -> Any:
    from zoo.probing import Trial

    return Trial(candidate=candidate, score=score, share=share, seconds=1.0, judged=judged, frozen=False)


def _order(question: Any, *trials: Any) -> list[str]:
    """The names of those that were tried, the most promising first."""
    from zoo.probing import _worth

    worth = _worth(question, {trial.candidate.name: trial for trial in trials})
    return sorted(worth, key=lambda name: -worth[name].mean)


@pytest.fixture(name="pair")
def _pair() -> Any:
    """A question, and two of its candidates of which about the same is foretold."""
    problem = zoo.Problem(
        task=IMAGES,
        input=zoo.ImageInput(channels=3, height=32, width=32),
        output=zoo.Classes(count=10),
        samples=5000,
    )
    question = api.question(problem, device="cpu", pretrained=False)
    known = {candidate.name: candidate for candidate in question.candidates}
    one = known["cnn/resnet20"]
    return question, one, replace(known["cnn/wide_resnet"], prediction=one.prediction)


def test_a_probe_believes_the_better_of_two_whole_trainings(pair: Any) -> None:
    question, one, other = pair
    assert _order(question, _trial(one, 0.8), _trial(other, 0.9)) == [other.name, one.name]
    assert _order(question, _trial(one, 0.9), _trial(other, 0.8)) == [one.name, other.name]


def test_a_training_that_was_cut_is_not_held_against_its_model(pair: Any) -> None:
    """At a tenth of its steps the larger model is nearly as good as the smaller one at its end."""
    question, one, other = pair
    assert _order(question, _trial(one, 0.9), _trial(other, 0.88, share=0.1))[0] == other.name
    assert _order(question, _trial(one, 0.9), _trial(other, 0.3, share=0.1))[0] == one.name


def test_more_time_goes_to_those_that_were_cut_the_most_promising_first(pair: Any) -> None:
    from zoo.probing import _unfinished

    question, one, other = pair
    third = next(c for c in question.ranked if c.name not in (one.name, other.name))
    third = replace(third, prediction=one.prediction)
    whole, good, poor = _trial(one, 0.95), _trial(other, 0.9, share=0.3), _trial(third, 0.5, share=0.3)
    trials = {trial.candidate.name: trial for trial in (whole, poor, good)}
    found = _unfinished(question, [one, third, other], trials)
    assert [candidate.name for candidate in found] == [other.name, third.name]


def test_a_tried_model_that_a_limit_rules_out_since_is_told_of_and_left_out(pair: Any) -> None:
    """Trials teach how long things take here, by which a model may no longer fit the time."""
    from zoo.probing import _answer

    question, one, other = pair
    trials = {each.name: _trial(each, 0.9) for each in (one, other)}
    question.candidates = [c for c in question.candidates if c.name != other.name]
    found = _answer(question, trials, 10.0)
    assert other.name not in [choice.name for choice in found.recommendations]
    assert f"rules out {other.name}" in found.notes[-1]
    question.candidates = []
    assert _answer(question, trials, 10.0).notes[-1].endswith(f"{one.name}, {other.name}")


def test_of_few_samples_a_perfect_score_tells_little(pair: Any) -> None:
    from zoo.probing import _worth

    question, one, other = pair
    gaps = []
    for judged in (10, 1000):
        trials = _trial(one, 1.0, judged=judged), _trial(other, 0.9, judged=judged)
        worth = _worth(question, {trial.candidate.name: trial for trial in trials})
        gaps.append(worth[one.name].mean - worth[other.name].mean)
    assert 0 < gaps[0] < gaps[1] / 3


def test_what_trials_share_moves_the_others_too_and_narrows_the_interval(pair: Any) -> None:
    """All that were tried did far worse than foretold, so the data is hard for the third as well."""
    from zoo.probing import _worth

    question, one, other = pair
    third = next(c for c in question.ranked if c.name not in (one.name, other.name))
    trials = {each.name: _trial(each, 0.2) for each in (one, other)}
    expected = _worth(question, trials, [third])[third.name]
    assert expected.mean < third.prediction.mean - third.prediction.deviation
    assert third.prediction.own < expected.deviation < third.prediction.deviation


def test_a_trial_is_not_watched_by_plugins(tmp_path: Path) -> None:
    """One of timm's adds to the files of a finished run, of which a trial has none."""
    settings = {"steps": 2, "batch_size": 8, "image_size": 32}
    limits = Limits(trial=True)
    run = zoo.train(
        "timm/test_resnet", _few(), output=tmp_path / "run", settings=settings, limits=limits, device="cpu"
    )
    assert run.record.state == "trial"


def test_a_trial_looks_at_no_test_split_and_writes_no_card(tmp_path: Path) -> None:
    limits, settings = Limits(trial=True), {"steps": 4}
    run = zoo.train("cnn/lenet5", "digits", output=tmp_path / "run", settings=settings, limits=limits)
    assert run.record.state == "trial"
    assert run.record.best["accuracy"] > 0
    assert run.metrics == {}
    assert run.record.baseline == {}
    assert not {CARD, CURVES} & {path.name for path in run.path.iterdir()}
    with pytest.raises(ZooError, match=r"is a trial, .* zoo train cnn/lenet5 --data digits"):
        zoo.resume(run.path)
    with pytest.raises(ZooError, match="is a trial"):
        run.check_finished()


def test_no_time_for_two_trainings_is_said() -> None:
    from zoo.probing import probe

    data = _few()
    with pytest.raises(ZooError, match="too short for two trainings"):
        probe(lambda: api.question(data=data, device="cpu"), data, 1.0)


def test_memory_on_a_processor_grows_with_what_its_own_kernels_keep() -> None:
    registry = installed()
    device = find_device(registry, "cpu")
    model, _ = registry.model("transformer/gpt")
    problem = model.spec.reference
    assert problem is not None
    load = load_at(model.spec, problem, shape_of(problem))
    assert load is not None
    small, large = (
        Plan(zoo.Recipe(batch_size=batch, eval_batch_size=1, precision="bf16"), device).memory(load)
        for batch in (16, 64)
    )
    kept = 48 * load.activation_bytes("bf16")
    assert 1.2 * kept < large.value - small.value < 2 * kept
    assert small.upper < 1.2 * small.value  # what Python and torch take is known
    parts = Plan(zoo.Recipe(), device).memory_parts(load)
    assert parts["process"] > 0.9e9


# -- the command ------------------------------------------------------------------------------


def test_explain_says_how_each_number_came_about(capsys: pytest.CaptureFixture[str]) -> None:
    _run("recommend", "--data", "digits", "--device", "cpu", "--explain", "cnn/convnet")
    told = capsys.readouterr().out
    for word in (
        "place",
        "accuracy",
        "measured",
        "memory",
        "weights and optimizer",
        "time",
        "latency",
        "run",
    ):
        assert word in told
    _run("recommend", "--data", "digits", "--device", "cpu", "--explain", "cnn/convnet", "--json")
    found = json.loads(capsys.readouterr().out)
    assert found["recommendation"]["model"] == "cnn/convnet"
    assert 0 < found["place"] <= found["of"]


def test_what_is_no_model_for_use_is_listed_and_explained_but_not_recommended(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """timm brings tiny networks for its own tests, which are the quickest of all to train."""
    question = ("recommend", "--task", IMAGES, "--samples", "500", "--classes", "10", "--input", "3x32x32")
    _run(*question, "--objective", "speed", "--top", "50", "--device", "cpu")
    printed = capsys.readouterr().out
    assert "timm/" in printed
    assert "timm/test_" not in printed
    _run(*question, "--device", "cpu", "--explain", "timm/test_resnet")
    assert "no model for use" in capsys.readouterr().out
    _run("list", "timm/test_resnet", "--json")
    (listed,) = json.loads(capsys.readouterr().out)["models"]
    assert listed["recommend"] is False


def test_explain_says_what_rules_a_model_out(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("recommend", "--data", "digits", "--device", "cpu", "--max-params", "100k")
    _run(*arguments, "--explain", "cnn/convnet")
    assert "ruled out" in (told := capsys.readouterr().out)
    assert "parameters 225k, 100k allowed" in told


def test_a_limit_of_latency_rules_out_what_is_slower(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("recommend", "--data", "digits", "--device", "cpu", "--scratch", "--json")
    _run(*arguments, "--max-latency", "5ms")
    found = json.loads(capsys.readouterr().out)
    assert {entry["limit"] for entry in found["rejected"]} >= {"latency"}
    assert found["budget"]["latency_seconds"] == 0.005
    _run(*arguments, "--max-latency", "0.001ms")
    found = json.loads(capsys.readouterr().out)
    assert not found["recommendations"]
    assert any("ruled out by latency" in note and "needs least" in note for note in found["notes"])


def test_what_is_not_known_to_fit_is_no_way_out_of_a_limit(capsys: pytest.CaptureFixture[str]) -> None:
    _run("recommend", "--data", "digits", "--device", "cpu", "--memory", "10MB", "--json")
    found = json.loads(capsys.readouterr().out)
    assert not found["recommendations"]
    assert any("nothing fits" in note and "needs least" in note for note in found["notes"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--task", IMAGES, "--probe", "1m"), "--probe needs the data itself"),
        (("--task", IMAGES, "--train"), "--train needs the data itself"),
        (("--data", "digits", "--train", "--json"), "zoo train --json"),
        (("--data", "digits", "--explain", "cnn/lenet5", "--probe", "1m"), "leave out --probe"),
        (("--data", "digits", "--explain", "cnn/lenet6"), "did you mean cnn/lenet5"),
        (("--data", "digits", "--explain", "cnn/textcnn"), "does not do image-classification"),
        (("--data", "digits", "--max-latency", "5parsecs"), "is not a time"),
        (("--data", "digits", "--scratch", "--pretrained"), "--pretrained and --scratch leave no model"),
        (("--data", "digits", "--pretrained", "--scratch"), "--pretrained and --scratch leave no model"),
    ],
)
def test_nonsense_is_told_in_one_line(
    arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["recommend", *arguments])
    assert ended.value.code
    assert message in capsys.readouterr().err


def test_the_list_of_what_fits_grows_with_the_memory(capsys: pytest.CaptureFixture[str]) -> None:
    counts = []
    for size in ("1MB", "2GB", "1TB"):
        _run("list", "cnn/*", "--fits", size, "--json")
        counts.append(len(json.loads(capsys.readouterr().out)["models"]))
    assert counts[0] == 0 < counts[1] <= counts[2]
    _run("list", "--fits", "rtx-4090", "--json")
    told = capsys.readouterr()
    assert "GeForce RTX 4090" in told.err
    assert len(json.loads(told.out)["models"]) > 50


def test_trainings_beside_other_work_are_not_timed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.getloadavg", lambda: (100.0, 100.0, 100.0))
    zoo.train("cnn/lenet5", _few(), output=tmp_path / "run", settings={"epochs": 1, "steps": None})
    assert read_outcomes()[0].seconds is None
