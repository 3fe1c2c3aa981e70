"""The records: checked where they are made, every fault at once, the same from Python, TOML and JSON."""

from __future__ import annotations

from typing import Literal

import msgspec
import pytest

from zoo import specs
from zoo.errors import SpecError, UnknownNameError, ZooError, closest, unknown
from zoo.specs import (
    Budget,
    Classes,
    Device,
    DeviceSpec,
    Evidence,
    ImageInput,
    ModelSpec,
    Problem,
    Recipe,
    Record,
    SeriesInput,
    SeriesOutput,
    TokenInput,
    TokenOutput,
    WeightsSpec,
    convert,
    split_name,
    to_builtins,
)

DIGITS = Problem(
    task="image-classification",
    input=ImageInput(channels=1, height=8, width=8),
    output=Classes(count=2, names=("zero", "one")),
    samples=100,
)
MODEL = {"name": "net", "family": "cnn", "tasks": ("image-classification",), "builder": "toy.net:net"}
PROBLEMS = [
    DIGITS,
    DIGITS.replace(samples=None),
    Problem(
        task="seq2seq",
        input=TokenInput(vocab_size=259, length=32),
        output=TokenOutput(vocab_size=259, length=12),
    ),
    Problem(
        task="forecasting",
        input=SeriesInput(channels=3, length=96),
        output=SeriesOutput(channels=3, length=24),
    ),
]


def faults_of(record: type[Record], /, **fields: object) -> tuple[str, ...]:
    with pytest.raises(SpecError) as caught:
        record(**fields)
    assert "\n" not in str(caught.value)
    return caught.value.faults


# -- faults -----------------------------------------------------------------------------------


def test_every_fault_of_a_record_is_told_at_once() -> None:
    faults = faults_of(Recipe, epochs=0, lr=-1.0, optimiser="sgd", schedule="cosinus", momentum=1.0)
    assert len(faults) == 5
    for key in ("epochs = 0", "lr = -1.0", "'optimiser'", "schedule = 'cosinus'", "momentum = 1.0"):
        assert sum(key in fault for fault in faults) == 1


def test_missing_fields_are_each_named() -> None:
    assert faults_of(ModelSpec) == tuple(f"{name}: missing" for name in MODEL)


def test_an_unknown_key_gets_the_closest_known_name() -> None:
    assert faults_of(Recipe, warmup_epoch=1) == ("unknown key 'warmup_epoch'; did you mean 'warmup_epochs'?",)


def test_an_unknown_key_like_no_other_gets_the_list_of_known_ones() -> None:
    (fault,) = faults_of(ImageInput, channels=1, height=1, width=1, zzz=1)
    assert fault == "unknown key 'zzz'; known: channels, height, width"


def test_the_faults_of_a_record_inside_a_record_are_all_told_with_their_place() -> None:
    wrong = {"kind": "image", "channels": 0, "hight": 3, "width": 2}
    faults = faults_of(Problem, task="t", input=wrong, output={"kind": "classes", "count": 2, "names": ["a"]})
    assert [fault.split(" ")[0] for fault in faults[:3]] == [
        "input.unknown",
        "input.channels",
        "input.height:",
    ]
    assert "1 names for 2 classes" in faults[3]
    assert len(faults) == 4


def test_a_record_of_an_unknown_kind_is_one_fault() -> None:
    (fault,) = faults_of(Problem, task="t", input={"kind": "smell"}, output=DIGITS.output)
    assert "'smell'" in fault


def test_a_record_does_not_pass_for_another_kind() -> None:
    assert faults_of(ImageInput, kind="tokens", channels=1, height=1, width=1) == (
        "kind = 'tokens': expected 'image'",
    )
    assert (
        convert({"kind": "image", "channels": 1, "height": 2, "width": 3}, ImageInput, where="").height == 2
    )


@pytest.mark.parametrize("key", ["self", "cls", "type"])
def test_no_key_of_a_document_is_taken_for_something_else(key: str) -> None:
    with pytest.raises(SpecError, match=f"unknown key '{key}'"):
        convert({key: 1}, Recipe, where="recipe")


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"epochs": True}, "epochs"),
        ({"epochs": 10.0}, "epochs"),
        ({"epochs": "10"}, "epochs"),
        ({"lr": float("nan")}, "lr"),
        ({"betas": (0.9,)}, "betas"),
        ({"accumulate": 3}, "does not divide batch_size = 64"),
        ({"warmup_epochs": 10}, "not less than epochs = 10"),
    ],
)
def test_a_recipe_refuses_what_could_not_be_trained(fields: dict[str, object], fault: str) -> None:
    (told,) = faults_of(Recipe, **fields)
    assert fault in told


def test_a_warm_up_may_be_long_where_steps_rule() -> None:
    assert Recipe(warmup_epochs=20, steps=1000).epochs == 10


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"tasks": ()}, "tasks: none given"),
        ({"name": "net.tag"}, "name = 'net.tag'"),
        ({"name": "Net"}, "name = 'Net'"),
        ({"builder": "toy.net"}, "builder = 'toy.net'"),
        ({"recipes": {"forecasting": "r.toml"}}, "recipes: task 'forecasting'"),
        ({"reference": PROBLEMS[3]}, "reference: task 'forecasting'"),
    ],
)
def test_a_model_refuses_what_contradicts_itself(changes: dict[str, object], fault: str) -> None:
    (told,) = faults_of(ModelSpec, **{**MODEL, **changes})
    assert told.startswith(fault)


def test_weights_name_a_plugin_and_a_whole_sha256() -> None:
    faults = faults_of(WeightsSpec, tag="", model="net", source="file:x", sha256="abc", bytes=0)
    assert [fault.split(" ")[0] for fault in faults] == ["tag", "model", "sha256", "bytes"]


def test_a_long_value_is_shortened_in_the_message() -> None:
    (fault,) = faults_of(Recipe, seed="x" * 500)
    assert len(fault) < 120


# -- records as values ------------------------------------------------------------------------


def test_a_record_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        DIGITS.samples = 5  # type: ignore[misc]  # what is refused here, by type checkers too
    assert DIGITS.samples == 100


def test_fields_are_given_by_name_only() -> None:
    with pytest.raises(TypeError):
        ImageInput(1, 8, 8)  # type: ignore[call-arg]  # likewise


def test_a_changed_copy_leaves_the_record_and_is_checked() -> None:
    assert DIGITS.replace(samples=7).samples == 7
    assert DIGITS.samples == 100
    with pytest.raises(SpecError, match="samples = -1"):
        DIGITS.replace(samples=-1)
    with pytest.raises(SpecError, match="did you mean 'samples'"):
        DIGITS.replace(sample=1)


def test_two_records_share_no_default() -> None:
    first, second = Recipe(), Recipe()
    first.options["width"] = 2
    assert second.options == {}


def test_every_public_record_is_frozen_keyword_only_and_described() -> None:
    records = [
        value
        for value in vars(specs).values()
        if isinstance(value, type) and issubclass(value, Record) and value is not Record
    ]
    assert len(records) > 15
    for record in records:
        config = record.__struct_config__
        assert (config.frozen, config.forbid_unknown_fields, config.omit_defaults) == (True, True, True)
        assert all(field.name in record.__struct_fields__ for field in msgspec.structs.fields(record))
        assert vars(record).get("__doc__"), record


# -- documents --------------------------------------------------------------------------------


@pytest.mark.parametrize("problem", PROBLEMS)
def test_a_problem_survives_json_and_toml(problem: Problem) -> None:
    assert msgspec.json.decode(msgspec.json.encode(problem), type=Problem) == problem
    toml = msgspec.toml.encode(to_builtins(problem))
    assert convert(msgspec.toml.decode(toml), Problem, where="here") == problem


def test_a_recipe_written_out_holds_only_what_differs() -> None:
    assert to_builtins(Recipe()) == {}
    assert to_builtins(Recipe(lr=0.1, options={"width": 2})) == {"lr": 0.1, "options": {"width": 2}}


def test_a_document_is_checked_like_a_record_made_in_python() -> None:
    document = msgspec.toml.decode('epochs = 0\nschedul = "cosine"\nbatch_size = 64\naccumulate = 3\n')
    with pytest.raises(SpecError) as caught:
        convert(document, Recipe, where="net.toml")
    assert caught.value.faults == faults_of(Recipe, **document)
    assert str(caught.value).startswith("net.toml: 2 faults: ")


def test_faults_between_fields_are_found_in_documents_too() -> None:
    with pytest.raises(SpecError, match=r"net.toml: accumulate = 3: does not divide batch_size = 64"):
        convert({"accumulate": 3}, Recipe, where="net.toml")
    with pytest.raises(msgspec.ValidationError, match="does not divide"):
        msgspec.json.decode(b'{"accumulate": 3}', type=Recipe)


@pytest.mark.parametrize("document", [[], 3, "recipe", None])
def test_a_document_that_is_no_table_is_told(document: object) -> None:
    with pytest.raises(SpecError, match=r"net\.toml: Expected `object`"):
        convert(document, Recipe, where="net.toml")


# -- what records can tell --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scaling", "batch_size", "expected"),
    [("none", 256, 0.1), ("linear", 256, 0.4), ("linear", 32, 0.05), ("sqrt", 256, 0.2), ("sqrt", 64, 0.1)],
)
def test_the_learning_rate_follows_the_batch_by_the_rule_named(
    scaling: Literal["none", "linear", "sqrt"], batch_size: int, expected: float
) -> None:
    recipe = Recipe(lr=0.1, lr_batch_size=64, lr_scaling=scaling, batch_size=batch_size)
    assert recipe.scaled_lr == pytest.approx(expected)


def test_without_a_batch_size_for_it_the_learning_rate_holds_as_it_is() -> None:
    assert Recipe(lr=0.1, lr_scaling="linear", batch_size=512).scaled_lr == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("lenet5", (None, "lenet5", None)),
        ("cnn/lenet5", ("cnn", "lenet5", None)),
        ("lenet5.digits", (None, "lenet5", "digits")),
        ("timm/resnet50.a1_in1k", ("timm", "resnet50", "a1_in1k")),
        ("timm/vit.augreg_in21k.v2", ("timm", "vit", "augreg_in21k.v2")),
    ],
)
def test_a_name_has_a_plugin_a_model_and_a_tag(name: str, parts: tuple[str | None, ...]) -> None:
    assert split_name(name) == parts


@pytest.mark.parametrize("name", ["", "/", "cnn/", "/lenet5", "a/b/c", ".digits", "lenet5.", "cnn/.digits"])
def test_what_is_no_name_has_no_parts(name: str) -> None:
    assert split_name(name) is None


def test_weights_know_their_full_name_and_their_sources_in_order() -> None:
    one = WeightsSpec(tag="digits", model="cnn/lenet5", source="file:a")
    assert (one.name, one.sources) == ("cnn/lenet5.digits", ("file:a",))
    assert one.replace(source=("hf://x/y@1/z", "file:a")).sources == ("hf://x/y@1/z", "file:a")


def test_a_device_is_titled_by_its_count() -> None:
    spec = DeviceSpec(name="h100", kind="cuda", title="NVIDIA H100")
    assert Device(spec=spec).title == "NVIDIA H100"
    assert Device(spec=spec.replace(title=""), count=8).title == "8 x h100"


def test_budgets_and_evidence_hold_positive_numbers() -> None:
    assert len(faults_of(Budget, memory_bytes=0, seconds=0, parameters=-1)) == 3
    faults = faults_of(Evidence, model="cnn/lenet5", problem=DIGITS, source="here", seconds=-1.0, seen=0)
    assert len(faults) == 2


# -- errors -----------------------------------------------------------------------------------


def test_one_fault_is_not_counted() -> None:
    assert str(SpecError("here", ["a"])) == "here: a"
    assert str(SpecError("here", ["a", "b"])) == "here: 2 faults: a; b"


def test_the_closest_names_come_best_first() -> None:
    assert closest("resnet5", ["vgg", "resnet152", "resnet50"]) == ["resnet50", "resnet152"]
    assert closest("zzz", ["vgg"]) == []


def test_an_unknown_name_is_suggested_listed_or_pointed_to() -> None:
    names = [f"resnet{size}" for size in range(20)]
    near = unknown("model", "resnet1_", names)
    assert near.close
    assert "among 20 installed; did you mean" in str(near)
    assert "known: ant, bee" in str(unknown("task", "zzz", ["ant", "bee"]))
    assert "see 'zoo list'" in str(unknown("model", "zzz", names))
    assert "see 'zoo datasets'" in str(unknown("dataset", "zzz", names))


def test_errors_are_caught_as_what_python_programmers_expect() -> None:
    assert issubclass(SpecError, ValueError)
    assert issubclass(UnknownNameError, LookupError)
    assert issubclass(SpecError, ZooError)
    assert issubclass(UnknownNameError, ZooError)
