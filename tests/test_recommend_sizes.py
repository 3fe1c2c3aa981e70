"""Costs at other sizes than the reference's: traced where they do not follow, else carried over."""

from __future__ import annotations

import math
from typing import Any

import pytest
from toys import HOOK, Site, run

import zoo
from zoo.build import trace_at, trace_facts
from zoo.recommender.facts import DOUBT, Load, load_at, shape_of
from zoo.recommender.sizes import OFF, sized_problems, worth_stating
from zoo.registry import installed
from zoo.specs import convert, to_builtins

CLASSES = zoo.Classes(count=10)
TASK = "image-classification"


def _images(side: int, width: int | None = None) -> zoo.Problem:
    given = zoo.ImageInput(channels=1, height=side, width=width or side)
    return zoo.Problem(task=TASK, input=given, output=CLASSES)


def _costs(amount: float, parameters: int = 10) -> dict[str, Any]:
    half, whole = round(amount / 2), round(amount)
    kept = {"fp32": whole, "bf16": half}
    return {"parameters": parameters, "macs": whole, "activation_bytes": kept, "largest_tensor_bytes": kept}


def _facts(amount: float, sizes: dict[int, float] | None = None) -> zoo.Facts:
    further = (zoo.SizedFacts(size=size, **_costs(cost)) for size, cost in (sizes or {}).items())
    return zoo.Facts(**_costs(amount), sizes=tuple(further))


def _spec(
    facts: zoo.Facts | None = None, reference: zoo.Problem | None = None, **fields: Any
) -> zoo.ModelSpec:
    settings = {"name": "net", "family": "cnn", "builder": "toy:build", **fields}
    reference = reference or _images(16)
    return zoo.ModelSpec(tasks=(reference.task,), reference=reference, facts=facts, **settings)


def _load(spec: zoo.ModelSpec, problem: zoo.Problem) -> Load:
    load = load_at(spec, problem, shape_of(problem))
    assert load
    return load


# -- carrying over ----------------------------------------------------------------------------


@pytest.mark.parametrize("side", [8, 24, 32, 48, 96, 160, 224, 320, 512])
def test_a_vit_costs_at_any_size_what_is_traced_there(side: int) -> None:
    """Its patches grow with the image, so that it costs the same from 16 pixels on."""
    registry, problem = installed(), _images(side)
    model, _ = registry.model("transformer/vit")
    load, traced = _load(model.spec, problem), trace_at(registry, model, problem)
    assert load.macs == pytest.approx(traced.macs, rel=0.15)
    assert load.parameters == pytest.approx(traced.parameters, rel=0.15)
    for precision, kept in traced.activation_bytes.items():
        assert load.activation_bytes(precision) == pytest.approx(kept, rel=0.15)


def test_costs_are_carried_over_as_ever_where_no_sizes_are_stated() -> None:
    facts = convert({"parameters": 10, "macs": 100, "activation_bytes": {"fp32": 40}}, zoo.Facts, where="old")
    assert facts.sizes == ()
    assert "sizes" not in to_builtins(facts)
    load = _load(_spec(facts), _images(32))
    assert (load.macs, load.activation_bytes("fp32"), load.parameters) == (400, 160, 10)
    assert load.doubt == DOUBT[0] + DOUBT[1] * math.log(4)


def test_a_size_that_is_stated_has_its_own_costs_and_no_doubt() -> None:
    load = _load(_spec(_facts(100, {1024: 120})), _images(32))
    assert load.macs == 120
    assert load.activation_bytes("fp32") == load.largest_bytes("fp32") == 120
    assert load.activation_bytes("bf16") == 60
    assert load.doubt == 0


@pytest.mark.parametrize(
    ("side", "nearest", "cost"), [(8, 16, 100), (16, 16, 100), (64, 64, 130), (128, 64, 130)]
)
def test_beyond_the_sizes_that_are_stated_costs_follow_from_the_nearest(
    side: int, nearest: int, cost: int
) -> None:
    ratio = (side / nearest) ** 2
    load = _load(_spec(_facts(100, {1024: 120, 4096: 130})), _images(side))
    assert load.macs == pytest.approx(ratio * cost)
    assert load.activation_bytes("fp32") == load.largest_bytes("fp32") == pytest.approx(ratio * cost)
    assert load.doubt == (DOUBT[0] + DOUBT[1] * math.log(4) if ratio != 1 else 0)


@pytest.mark.parametrize("power", [0, 1, 2])
def test_between_two_sizes_costs_follow_the_power_that_agrees_with_both(power: int) -> None:
    load = _load(_spec(_facts(10_000, {4096: 10_000 * 16**power})), _images(48))
    assert load.macs == pytest.approx(10_000 * 9**power, rel=1e-3)
    assert load.activation_bytes("bf16") == pytest.approx(5_000 * 9**power, rel=1e-3)
    nearest = math.log(64 * 64 / (48 * 48))
    assert load.doubt == pytest.approx(DOUBT[0] + DOUBT[1] * nearest)


def test_between_two_sizes_attention_keeps_its_square() -> None:
    def texts(length: int) -> zoo.Problem:
        given = zoo.TokenInput(vocab_size=9, length=length)
        return zoo.Problem(task="text-classification", input=given, output=CLASSES)

    def costs(length: int) -> dict[str, Any]:
        return {"parameters": 1000, "macs": 1000 * length + 5 * length**2}

    further = (zoo.SizedFacts(size=1600, **costs(1600)),)
    spec = _spec(zoo.Facts(**costs(100), sizes=further), texts(100), family="transformer")
    assert _load(spec, texts(400)).macs == pytest.approx(costs(400)["macs"])
    assert _load(spec, texts(3200)).macs == pytest.approx(costs(3200)["macs"])


def test_parameters_that_grow_with_the_image_count_at_its_size() -> None:
    registry, problem = installed(), _images(224)
    model, _ = registry.model("cnn/convnet")
    traced = trace_at(registry, model, problem)
    assert traced.parameters > 100 * model.spec.facts.parameters  # its first dense layer sees every pixel
    assert _load(model.spec, problem).parameters == pytest.approx(traced.parameters, rel=0.15)


# -- which sizes are stated -------------------------------------------------------------------


def test_sides_are_doubled_and_halved_within_bounds() -> None:
    assert [*sized_problems(_spec())] == [8 * 8, 32 * 32, 64 * 64, 128 * 128, 256 * 256, 512 * 512]
    oblong = sized_problems(_spec(reference=_images(16, 40)))
    assert oblong == {8 * 20 * 4**n: _images(8 * 2**n, 20 * 2**n) for n in (0, 2, 3, 4)}
    assert [*sized_problems(_spec(reference=_images(28)))] == [14**2, 56**2, 112**2, 224**2, 448**2]


def test_a_model_of_a_single_size_or_without_reference_has_no_other() -> None:
    assert sized_problems(_spec(image_size=16)) == {}
    assert sized_problems(_spec().replace(reference=None)) == {}


def test_what_is_written_grows_with_what_is_read_but_no_horizon() -> None:
    tokens, output = zoo.TokenInput(vocab_size=9, length=64), zoo.TokenOutput(vocab_size=9, length=24)
    translation = zoo.Problem(task="seq2seq", input=tokens, output=output)
    lengths = {
        size: (problem.input.length, problem.output.length)
        for size, problem in sized_problems(_spec(reference=translation)).items()
    }
    assert lengths == {22: (16, 6), 44: (32, 12)} | {88 * n: (64 * n, 24 * n) for n in (2, 4, 8, 16)}
    series, horizon = zoo.SeriesInput(channels=2, length=48), zoo.SeriesOutput(channels=2, length=7)
    forecast = sized_problems(_spec(reference=zoo.Problem(task="forecasting", input=series, output=horizon)))
    assert [*forecast] == [24, 96, 192, 384, 768]
    assert {problem.output for problem in forecast.values()} == {horizon}


def test_costs_that_follow_the_pixels_are_stated_once() -> None:
    facts = _facts(100)
    slightly = {size: _facts(100 * (size / 256) * (1 + OFF / 2)) for size in sized_problems(_spec())}
    assert worth_stating(_spec(), facts, slightly) == facts
    for name in ("cnn/resnet20", "cnn/wide_resnet", "cnn/fcn", "transformer/gpt", "transformer/bert"):
        assert installed().models[name].spec.facts.sizes == ()


def test_costs_that_stay_are_stated_at_both_ends_and_no_more() -> None:
    spec = _spec()
    facts = worth_stating(spec, _facts(1000), dict.fromkeys(sized_problems(spec), _facts(1000)))
    assert [one.size for one in facts.sizes] == [8 * 8, 512 * 512]
    for size, problem in sized_problems(spec).items():
        assert _load(spec.replace(facts=facts), problem).macs == pytest.approx(1000), size


def test_a_vit_states_a_handful() -> None:
    assert 2 <= len(installed().models["transformer/vit"].spec.facts.sizes) <= 5


PATCHES = """
PROBLEM = PIXELS.replace(input=zoo.ImageInput(channels=1, height=16, width=16))

def build(problem):
    from torch import nn
    side = problem.input.height
    if side > 64:
        raise zoo.SpecError("net", [f"images of {side} pixels are too large"])
    if side < 16:
        raise ValueError("a fault of the builder's own")
    embed = nn.Conv2d(1, 8, side // 8, side // 8)
    return nn.Sequential(embed, nn.Conv2d(8, 64, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64 * 6 * 6, 2))
"""


def test_sizes_that_a_builder_refuses_are_passed_over(install: Site) -> None:
    install("toy", PATCHES + HOOK + "return [net(reference=PROBLEM)]")
    registry = installed()
    facts = trace_facts(registry, registry.models["toy/net"])
    assert {one.size for one in facts.sizes} == {32 * 32, 64 * 64}
    again = trace_at(registry, registry.models["toy/net"], sized_problems(_spec())[64 * 64])
    assert facts.sizes[-1].macs == again.macs


def test_sizes_are_shown(install: Site, capsys: pytest.CaptureFixture[str]) -> None:
    sized = "zoo.SizedFacts(size=4096, parameters=1, macs=2)"
    facts = f"zoo.Facts(parameters=1, macs=2, sizes=({sized},))"
    install("toy", HOOK + f"return [net(reference=PIXELS, facts={facts})]")
    status, out = run(capsys, "info", "toy/net")[:2]
    assert status == 0
    assert "also known at 4,096 pixels" in " ".join(out.split())


def test_a_size_without_the_bytes_of_the_reference_is_refused() -> None:
    """Taken for none, they would let the model fit any memory."""
    facts = zoo.Facts(
        parameters=10,
        macs=100,
        activation_bytes={"fp32": 40},
        largest_tensor_bytes={"fp32": 8},
        sizes=(zoo.SizedFacts(size=1024, parameters=10, macs=400, largest_tensor_bytes={"fp32": 8}),),
    )
    with pytest.raises(zoo.SpecError, match="facts: sizes: 1,024: activation_bytes is not of the precisions"):
        zoo.ModelSpec(name="net", family="cnn", tasks=("any",), builder="net:build", facts=facts)
