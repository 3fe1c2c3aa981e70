"""Laws of time and of loss, and what the recommender says to questions that make no sense."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import zoo
from zoo.recommender import Calibration, load_at
from zoo.recommender.cost import FAR, REFERENCE, Plan
from zoo.recommender.facts import Load, Shape, shape_of
from zoo.recommender.priors import Priors, read_priors
from zoo.recommender.scaling import LossLaw
from zoo.recommender.speed import EDGE, SpeedLaw, features_of
from zoo.registry import installed

IMAGES = zoo.ImageInput(channels=3, height=224, width=224)
PROBLEM = zoo.Problem(task="image-classification", input=IMAGES, output=zoo.Classes(count=10), samples=2000)
GPU = zoo.Device(
    spec=zoo.DeviceSpec(
        name="toy-gpu",
        kind="cuda",
        memory_bytes=8 * 10**9,
        bandwidth_bytes=936 * 10**9,
        peak_flops={"fp32": REFERENCE["fp32"], "bf16": REFERENCE["bf16"]},
    )
)
RECIPE = zoo.Recipe(batch_size=1000, precision="bf16")
FACTS = zoo.Facts(
    parameters=20_000_000,
    macs=4_000_000_000,
    activation_bytes={"fp32": 90_000_000, "bf16": 45_000_000},
    largest_tensor_bytes={"fp32": 3_000_000, "bf16": 1_500_000},
)


def _load(facts: zoo.Facts = FACTS, family: str = "cnn", group: str | None = "toys") -> Load:
    spec = zoo.ModelSpec(
        name="net",
        family=family,
        tasks=("image-classification",),
        builder="toy:build",
        reference=PROBLEM,
        facts=facts,
        group=group,
    )
    load = load_at(spec, PROBLEM, shape_of(PROBLEM))
    assert load
    return load


def _law(**fields: object) -> SpeedLaw:
    features = features_of(_load())
    assert features
    settings = {
        "kind": "cuda",
        "device": "toy-gpu",
        "middles": features,
        "spreads": (1.0,) * 5,
        "intercept": 0.0,
        "linear": (0.0,) * 5,
        "groups": {"toys": 0.0},
        "deviation": 0.1,
        "between_groups": 0.3,
        "between_devices": 0.2,
        "source": "made up",
    }
    return SpeedLaw(**{**settings, **fields})  # type: ignore[arg-type]


def _step(law: SpeedLaw | None, load: Load, **options: object) -> tuple[float, float]:
    priors = Priors(speed=(law,) if law else ())
    cost = Plan(RECIPE, GPU, priors=priors, **options).step_seconds(load)  # type: ignore[arg-type]
    assert cost
    return cost.value, cost.sd


# -- time -------------------------------------------------------------------------------------


def test_a_law_is_a_polynomial_of_features_that_fades_beyond_its_edges() -> None:
    law = _law(
        middles=(0.0, 10.0), spreads=(1.0, 2.0), intercept=0.5, linear=(2.0, 3.0), products=(5.0, 7.0, 11.0)
    )
    found = law.correct((1.0, 8.0), _load(), "toy-gpu")
    assert (found.log_factor, found.share) == (pytest.approx(0.5 + 2 - 3 + 5 - 7 + 11), 1.0)
    edge = 0.5 + 2 * EDGE + 5 * EDGE**2
    beyond = law.correct((EDGE + 1, 10.0), _load(), "toy-gpu")
    assert beyond.share == pytest.approx(math.exp(-0.5))
    assert beyond.log_factor == pytest.approx(edge * beyond.share)
    assert law.correct((99.0, 10.0), _load(), "toy-gpu").log_factor == pytest.approx(0.0)


def test_a_law_corrects_the_time_of_the_samples_by_features_and_family() -> None:
    plain, _ = _step(None, _load())
    twice, deviation = _step(_law(intercept=math.log(2)), _load())
    assert twice == pytest.approx(2 * plain, rel=0.03)  # what a step costs without samples stays
    assert deviation == 0.1
    hybrid, _ = _step(_law(families={"hybrid": math.log(3)}), _load(family="hybrid"))
    assert hybrid == pytest.approx(3 * plain, rel=0.03)
    known, deviation = _step(_law(groups={"toys": math.log(3)}), _load())
    assert known == pytest.approx(3 * plain, rel=0.03)
    other, wider = _step(_law(groups={"toys": math.log(3)}), _load(group=None))
    assert other == pytest.approx(plain)
    assert (deviation, wider) == (0.1, pytest.approx(math.hypot(0.1, 0.3)))


def test_far_from_the_fitted_models_the_roofline_stands_as_unsure_as_it_is() -> None:
    tiny = _load(zoo.Facts(
        parameters=1000,
        macs=1000,
        activation_bytes={"fp32": 2000, "bf16": 1000},
        largest_tensor_bytes={"fp32": 200, "bf16": 100},
    ))  # fmt: skip
    assert _step(_law(intercept=2.0), tiny) == pytest.approx(_step(None, tiny))


def test_a_law_is_less_sure_of_another_device_and_silent_of_one_that_was_timed() -> None:
    law = _law(intercept=math.log(2), device="another")
    assert _step(law, _load())[1] == pytest.approx(math.hypot(0.1, 0.2))
    timed = Calibration(flops={"bf16": 5e12}, step_seconds=0.0)
    assert _step(law, _load(), calibration=timed) == _step(None, _load(), calibration=timed)


def test_a_device_far_from_any_that_was_timed_is_less_sure_and_less_fast_than_its_datasheet() -> None:
    spec = GPU.spec.replace(
        bandwidth_bytes=10 * 936 * 10**9, peak_flops={"bf16": 10 * REFERENCE["bf16"]}, name="far"
    )
    small = zoo.Device(spec=spec.replace(bandwidth_bytes=936 * 10**9, peak_flops={"bf16": REFERENCE["bf16"]}))
    slow, fast = (
        Plan(RECIPE, device, priors=Priors()).step_seconds(_load())
        for device in (small, zoo.Device(spec=spec))
    )
    assert slow
    assert fast
    assert 3 < slow.value / fast.value < 7
    assert fast.sd == pytest.approx(math.hypot(slow.sd, 2 * FAR * math.log(10)))


def test_facts_that_leave_something_out_have_no_features() -> None:
    assert features_of(_load(zoo.Facts(parameters=1000, macs=1000))) is None
    assert _step(_law(intercept=9.0), _load(zoo.Facts(parameters=1000, macs=1000)))[0] < 1.0


def test_a_timed_forward_pass_stands_for_the_roofline() -> None:
    law = _law(forward=True, middles=(0.0,) * 6, spreads=(9.0,) * 6, linear=(0.0,) * 6, products=(0.0,) * 21)
    plan = Plan(RECIPE, GPU, priors=Priors(speed=(law,)))
    slow, slower = (plan.step_seconds(_load(), forward_seconds=seconds) for seconds in (0.01, 0.02))
    assert slow
    assert slower
    assert slower.value == pytest.approx(2 * slow.value, rel=0.01)
    assert 20 < slow.value < 60  # a thousand samples of 10 ms, and as much again and more for the way back


def test_the_shipped_laws_are_whole_and_do_not_leave_the_ground() -> None:
    laws = read_priors().speed
    assert [(law.kind, law.forward) for law in laws] == [("cuda", False), ("cuda", True)]
    for law in laws:
        size = 5 + law.forward
        assert len(law.middles) == len(law.spreads) == len(law.linear) == size
        assert len(law.products) == (size * (size + 1) // 2 if law.forward else 0)
        assert 0 < law.deviation < 0.15
        features = features_of(_load())
        assert features
        found = law.correct((*features, 0.0) if law.forward else features, _load(group="resnet"), law.device)
        assert found.share == 1.0
        assert found.deviation == law.deviation
        assert 0.7 < math.exp(found.log_factor) < 1.4  # a ResNet-50's figures


@pytest.mark.parametrize("side", [32, 64, 160, 224, 384])
def test_no_size_of_an_image_puts_the_laws_out_of_proportion(side: int) -> None:
    gpu = installed().devices["rtx-3090"]
    for name in ("timm/resnet18", "timm/resnet50", "timm/mobilenetv3_small_050", "timm/convnext_tiny"):
        spec = installed().models[name].spec
        load = load_at(spec, PROBLEM, Shape("image", 3, side * side))
        assert load
        plans = [Plan(RECIPE, zoo.Device(spec=gpu), priors=priors) for priors in (None, Priors())]
        lawful, bare = (plan.step_seconds(load) for plan in plans)
        assert lawful
        assert bare
        assert 0.5 < lawful.value / bare.value < 2.0


# -- loss -------------------------------------------------------------------------------------


def test_the_best_size_for_a_budget_is_where_the_loss_is_least() -> None:
    law = LossLaw(
        task="t",
        floor=1.8,
        parameters_factor=480.0,
        parameters_exponent=0.35,
        tokens_factor=2000.0,
        tokens_exponent=0.37,
        fewest=1,
        source="made up",
    )
    operations = 1e20
    best = law.best_parameters(operations)
    least = law.loss(best, operations / (6 * best))
    for factor in (0.8, 1.25):
        assert law.loss(factor * best, operations / (6 * factor * best)) > least
    assert law.balanced_parameters(operations / (6 * best)) == pytest.approx(best)


def _recommend_texts(*arguments: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "zoo", "recommend", "--task", "language-modeling", "--json", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_a_language_model_is_as_large_as_text_time_and_device_allow() -> None:
    large = _recommend_texts("--tokens", "2B", "--device", "h100", "--time-budget", "24h")
    small = _recommend_texts("--tokens", "2B", "--device", "h100", "--time-budget", "20m")
    names = [answer["recommendations"][0]["model"] for answer in (large, small)]
    facts = [installed().model(name)[0].spec.facts for name in names]
    assert facts[0]
    assert facts[1]
    assert facts[0].parameters > 50_000_000 > facts[1].parameters
    assert any("2.0B tokens" in note and "1.0 d on H100" in note for note in large["notes"])


def test_more_text_than_a_gpu_holds_stays_outside_of_it() -> None:
    asked = ("--device", "h100", "--max-params", "5M", "--top", "20")
    answers = [_recommend_texts(*asked, "--tokens", count) for count in ("1B", "100B")]
    estimates = [{one["model"]: one["estimate"] for one in answer["recommendations"]} for answer in answers]
    held, outside = (each["transformer/gpt_micro"]["memory_bytes"]["value"] for each in estimates)
    assert held - outside > 1e9 * 2  # int16
    assert outside < 1e9 * 2


def test_tokens_are_windows_of_a_text_and_of_nothing_else(tmp_path: Path) -> None:
    asked = ("--task", "language-modeling", "--tokens", "1M", "--device", "cpu")
    assert "3,907 texts, 256 tokens" in _ask(tmp_path, *asked).stdout
    assert "7,813 texts, 128 tokens" in _ask(tmp_path, *asked, "--input", "128").stdout
    assert "say the one or the other" in _ask(tmp_path, *asked, "--samples", "9").stderr
    assert "not for text-classification" in _ask(tmp_path, "--task", "text-classification", *asked[2:]).stderr


# -- nonsense ---------------------------------------------------------------------------------

DESCRIBED = ("--task", "image-classification", "--input", "3x64x64")
NONSENSE = {
    "zero samples": ((*DESCRIBED, "--classes", "2", "--samples", "0"), "nothing to train on"),
    "one class": ((*DESCRIBED, "--classes", "1", "--samples", "9"), "nothing to tell apart"),
    "unknown device": (("--data", "digits", "--device", "rtx-9999"), "no device named 'rtx-9999'"),
    "unknown task": (("--task", "mind-reading", "--samples", "9"), "no task named 'mind-reading'"),
    "contradiction": (
        ("--data", "digits", "--commercial", "--license", "cc-by-nc-4.0"),
        "commercial use, but only under cc-by-nc-4.0",
    ),
    "negative memory": (("--data", "digits", "--memory", "-1GB"), "'-1GB' is not a size such as 8GB"),
}


def _ask(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "zoo", "recommend", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
    )


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ZOO_HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("name", NONSENSE)
def test_nonsense_gets_one_line_that_says_what_is_wrong(name: str, home: Path) -> None:
    arguments, told = NONSENSE[name]
    done = _ask(home, *arguments)
    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert told in line


def test_a_budget_that_nothing_fits_is_told_with_what_would_be_needed(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_PLUGINS", "cnn")
    done = _ask(home, "--data", "digits", "--device", "rtx-3090", "--memory", "10MB", "--json")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["recommendations"] == []
    (note,) = [note for note in answer["notes"] if note.startswith("nothing fits")]
    assert "needs least" in note
    assert "\n" not in note


def test_data_that_is_there_is_not_described_as_well(home: Path) -> None:
    done = _ask(home, "--data", "cbf", "--samples", "50", "--input", "128x1")
    assert done.returncode == 2
    told = "--samples and --input would describe other data than --data; leave them out"
    assert told in " ".join(done.stderr.split())
