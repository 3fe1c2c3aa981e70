"""Loading, judging and asking models in code."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import zoo
from zoo.data.dataset import SPLITS, Dataset
from zoo.data.sample import write_sample
from zoo.golden import check_golden, golden_output
from zoo.tasks.classification import image_classification

LENET, DIGITS = "cnn/lenet5", "cnn/lenet5.digits"


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ZOO_OFFLINE", "1")


def few(name: str, count: int = 32) -> Dataset:
    """The first samples of each split of an embedded data set."""
    whole = zoo.load_dataset(name)
    splits = {
        split: {column: values[:count] for column, values in columns.items()}
        for split, columns in whole.splits.items()
    }
    return replace(whole, splits=splits)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> zoo.Run:
    """Four steps of a small network: its weights are poor, but its own."""
    return zoo.train(
        LENET,
        few("digits"),
        output=tmp_path_factory.mktemp("runs") / "run",
        settings={"steps": 4, "batch_size": 8, "precision": "fp32"},
        device="cpu",
        modern=True,
    )


@pytest.fixture(scope="module")
def text_run(tmp_path_factory: pytest.TempPathFactory) -> zoo.Run:
    columns = {"text": ["# a note", "def function():"] * 8, "labels": np.array([0, 1] * 8)}
    problem = zoo.Problem(
        task="text-classification",
        input=zoo.TokenInput(vocab_size=259, length=16),
        output=zoo.Classes(count=2, names=("comment", "signature")),
    )
    data = Dataset(name="lines", problem=problem, splits=dict.fromkeys(SPLITS, columns))
    return zoo.train(
        "cnn/textcnn",
        data,
        output=tmp_path_factory.mktemp("runs") / "text",
        settings={"steps": 30, "batch_size": 8, "lr": 0.02},
        device="cpu",
        maps=4,
    )


# -- loading ----------------------------------------------------------------------------------


def test_a_name_gives_a_new_plain_module() -> None:
    module = zoo.load(LENET)
    assert isinstance(module, torch.nn.Module)
    assert not module.training
    assert module(torch.zeros(2, 1, 32, 32)).shape == (2, 10)
    card = module.zoo
    assert (card.name, card.weights, card.preprocess, card.labels) == (LENET, None, None, ())
    assert set(card.report.new) == set(module.state_dict())


def test_a_bare_name_will_do_where_it_is_unambiguous() -> None:
    assert zoo.load("lenet5").zoo.name == LENET


def test_options_go_to_the_builder() -> None:
    assert zoo.load(LENET, width=2).c1.weight.shape[0] == 12
    with pytest.raises(zoo.SpecError, match="cnn/lenet5: has no option 'depth'"):
        zoo.load(LENET, depth=2)


def test_a_tag_brings_weights_labels_and_preprocessing() -> None:
    module = zoo.load(DIGITS)
    card = module.zoo
    assert card.name == DIGITS
    assert card.labels == tuple("0123456789")
    assert card.preprocess.height == 32
    assert set(card.report.loaded) == set(module.state_dict())
    assert not card.report.new
    assert str(card.report).startswith(f"{DIGITS}: ")
    found = zoo.load(LENET, weights="digits")
    assert torch.equal(found.head.weight, module.head.weight)


def test_a_run_folder_is_loaded_as_it_was_trained(run: zoo.Run) -> None:
    module = zoo.load(run.path)
    saved = load_file(run.path / "model.safetensors")
    assert {name: value.tolist() for name, value in module.state_dict().items()} == {
        name: value.tolist() for name, value in saved.items()
    }
    assert module.zoo.options == {"modern": True}
    assert isinstance(module.squash1, torch.nn.ReLU)
    assert torch.equal(zoo.load(LENET, weights=str(run.path)).head.weight, module.head.weight)


def test_a_file_with_a_receipt_is_loaded_by_its_address(run: zoo.Run) -> None:
    for source in (f"file:{run.weights_path}", str(run.weights_path)):
        module = zoo.load(LENET, weights=source)
        assert module.zoo.labels == tuple("0123456789")
        assert isinstance(module.squash1, torch.nn.ReLU)  # the receipt tells the options


def test_other_classes_make_a_new_head_and_nothing_else_new() -> None:
    whole, adapted = zoo.load(DIGITS), zoo.load(DIGITS, num_classes=3)
    assert adapted.head.weight.shape == (3, 84)
    report = adapted.zoo.report
    assert report.new == dict.fromkeys(("head.weight", "head.bias"), "head for other classes")
    assert set(report.loaded) == set(whole.state_dict()) - set(report.new)
    assert "2 newly initialised (head for other classes)" in str(report)
    for name in report.loaded:
        assert torch.equal(adapted.state_dict()[name], whole.state_dict()[name])
    assert adapted.zoo.labels == ()


def test_a_mismatch_elsewhere_lists_the_tensors() -> None:
    with pytest.raises(zoo.WeightsError) as caught:
        zoo.load(DIGITS, width=2)
    assert "\n" not in str(caught.value)
    assert "c1.weight is 6x1x5x5 where the model has 12x1x5x5" in str(caught.value)
    assert "; and 1 more" in str(caught.value)  # of nine tensors, eight are shown


def test_weights_are_adapted_to_other_channels_as_the_model_declares() -> None:
    grey, colour = zoo.load(DIGITS), zoo.load(DIGITS, in_chans=3)
    assert colour.zoo.report.adapted == {"c1.weight": "1 to 3 input channels"}
    assert len(colour.zoo.report.loaded) == len(grey.zoo.report.loaded) - 1
    assert "1 adapted (1 to 3 input channels)" in str(colour.zoo.report)
    images = torch.rand(2, 1, 32, 32)
    torch.testing.assert_close(colour(images.expand(-1, 3, -1, -1)), grey(images))


def test_channels_that_a_model_cannot_be_adapted_to_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = zoo.installed().model(LENET)[0]
    monkeypatch.setitem(zoo.installed().models, LENET, replace(model, spec=model.spec.replace(adapter=None)))
    with pytest.raises(zoo.WeightsError, match=r"c1\.weight is 6x1x5x5 where the model has 6x3x5x5"):
        zoo.load(DIGITS, in_chans=3)


def test_missing_and_left_over_tensors_are_told(tmp_path: Path) -> None:
    tensors = dict(zoo.load(DIGITS).state_dict())
    tensors["c6.weight"] = tensors.pop("c5.weight")
    save_file(tensors, tmp_path / "renamed.safetensors")
    with pytest.raises(zoo.WeightsError) as caught:
        zoo.load(LENET, weights=str(tmp_path / "renamed.safetensors"))
    assert "c5.weight is missing; c6.weight 120x400 belongs nowhere" in str(caught.value)


def test_a_dtype_is_taken() -> None:
    assert zoo.load(DIGITS, dtype=torch.bfloat16).head.weight.dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("ref", "arguments", "error", "told"),
    [
        ("cnn/lenet6", {}, zoo.UnknownNameError, "did you mean cnn/lenet5"),
        ("cnn/lenet5.digit", {}, zoo.UnknownNameError, "did you mean digits?"),
        ("a b/c/d", {}, zoo.UnknownNameError, "is not a model's name"),
        (DIGITS, {"weights": "digits"}, zoo.ZooError, "names weights already; leave out 'digits'"),
        (LENET, {"weights": "file:/nowhere"}, zoo.WeightsError, "no such file"),
        ("/nowhere/run", {}, zoo.RunError, "does not exist"),
        ("cnn/tcn", {"num_classes": 3}, zoo.SpecError, "forecasting has no classes"),
        ("cnn/tcn", {"in_chans": 3}, zoo.SpecError, "in_chans and img_size are for images"),
        (LENET, {"img_size": 8}, zoo.SpecError, "images of 8 x 8 pixels are too small"),
        (LENET, {"verify": True}, zoo.WeightsError, "has no golden output"),
    ],
)
def test_what_cannot_be_loaded_is_one_line(
    ref: str, arguments: dict[str, Any], error: type[Exception], told: str
) -> None:
    with pytest.raises(error, match=told) as caught:
        zoo.load(ref, **arguments)
    assert "\n" not in str(caught.value)


def test_a_folder_that_is_no_run_is_told(tmp_path: Path) -> None:
    with pytest.raises(zoo.RunError, match=r"has no run\.json, so it is no run folder"):
        zoo.load(tmp_path)


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"model": 3}', b"\xff\xfe"])
def test_a_damaged_run_is_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "run.json").write_bytes(content)
    with pytest.raises(zoo.RunError, match="is damaged"):
        zoo.load(tmp_path)


def test_a_run_without_weights_yet_is_told(tmp_path: Path, run: zoo.Run) -> None:
    (tmp_path / "run.json").write_bytes((run.path / "run.json").read_bytes())
    with pytest.raises(zoo.RunError, match="has no weights yet; go on with: zoo train --resume"):
        zoo.load(tmp_path)


def test_a_run_of_another_model_is_refused_as_weights(run: zoo.Run) -> None:
    with pytest.raises(zoo.RunError, match="is a run of cnn/lenet5, not of cnn/convnet"):
        zoo.load("cnn/convnet", weights=str(run.path))


# -- golden outputs ---------------------------------------------------------------------------


def test_a_golden_output_is_verified() -> None:
    assert zoo.load(DIGITS, verify=True).zoo.name == DIGITS


def test_a_changed_weight_a_changed_mean_and_other_layers_are_noticed() -> None:
    module = zoo.load(DIGITS)
    card = module.zoo
    arguments = (image_classification, card.problem, card.preprocess, card.weights.golden, DIGITS)
    check_golden(module, *arguments)
    with torch.no_grad():
        module.c3.weight[0, 0] += 0.5
    with pytest.raises(zoo.WeightsError, match="does not give the output that its record promises"):
        check_golden(module, *arguments)
    with pytest.raises(zoo.WeightsError, match="does not give the output"):
        check_golden(
            zoo.load(DIGITS),
            image_classification,
            card.problem,
            card.preprocess.replace(mean=(0.9,)),
            card.weights.golden,
            DIGITS,
        )
    with pytest.raises(zoo.WeightsError, match="does not give the output"):
        zoo.load(DIGITS, verify=True, modern=True)


def test_an_output_that_is_no_number_does_not_pass_for_golden() -> None:
    module = zoo.load(DIGITS)
    with torch.no_grad():
        module.head.bias.fill_(torch.nan)
    card = module.zoo
    found = golden_output(module, image_classification, card.problem, card.preprocess)
    assert np.isnan(found).all()
    with pytest.raises(zoo.WeightsError):
        check_golden(module, image_classification, card.problem, card.preprocess, card.weights.golden, DIGITS)


# -- judging ----------------------------------------------------------------------------------


def test_an_evaluation_has_intervals_and_a_baseline() -> None:
    found = zoo.evaluate(DIGITS, "digits")
    assert (found.model, found.data, found.split, found.samples) == (DIGITS, "digits", "test", 300)
    accuracy = found.metrics["accuracy"]
    assert 0.9 < accuracy.low < accuracy.value < accuracy.high <= 1
    # An 80% interval of a mean of n is about 2 x 1.28 standard errors wide.
    width = 2 * 1.2816 * (accuracy.value * (1 - accuracy.value) / 300) ** 0.5
    assert accuracy.high - accuracy.low == pytest.approx(width, rel=0.35)
    assert found.baseline.name == "majority class"
    assert found.baseline.metrics["accuracy"] < 0.15
    document = json.loads(json.dumps(found.as_json()))
    assert document["schema"] == 1
    assert document["metrics"]["accuracy"] == vars(accuracy)


def test_an_evaluation_counts_what_the_model_gets_right() -> None:
    module, data = zoo.load(DIGITS), few("digits")
    images = image_classification.encode(
        data.splits["test"], module.zoo.preprocess, data.problem, training=False
    )
    with torch.no_grad():
        right = module(images.columns["images"]).argmax(dim=1) == images.columns["labels"]
    for batch_size in (5, 256):
        found = zoo.evaluate(module, data, batch_size=batch_size)
        assert found.metrics["accuracy"].value == pytest.approx(right.double().mean().item())


def test_a_run_is_judged_as_it_says(run: zoo.Run) -> None:
    found = zoo.evaluate(run.path, few("digits"))
    assert found.metrics["accuracy"].value == pytest.approx(run.metrics["accuracy"])
    assert found.metrics["cross_entropy"].value == pytest.approx(run.metrics["cross_entropy"], rel=1e-5)


def test_classes_in_another_order_are_judged_the_same() -> None:
    data = few("digits", 100)
    back = {
        split: {**columns, "labels": 9 - np.asarray(columns["labels"])}
        for split, columns in data.splits.items()
    }
    output = zoo.Classes(count=10, names=data.labels[::-1])
    turned = replace(data, splits=back, problem=data.problem.replace(output=output))
    one, other = zoo.evaluate(DIGITS, data), zoo.evaluate(DIGITS, turned)
    assert one.metrics == other.metrics


def renamed(names: tuple[str, ...]) -> Dataset:
    data = few("digits")
    output = zoo.Classes(count=10, names=names)
    return replace(data, name="mine", problem=data.problem.replace(output=output))


def test_data_of_another_task_is_refused() -> None:
    with pytest.raises(zoo.DataError, match="does image-classification; data 'cbf' is for series"):
        zoo.evaluate(DIGITS, "cbf")


def test_classes_that_the_model_does_not_know_are_refused() -> None:
    with pytest.raises(zoo.DataError, match=f"classes that {DIGITS} does not know: nine; it knows: 0, 1"):
        zoo.evaluate(DIGITS, renamed((*"012345678", "nine")))


def test_a_head_for_fewer_classes_is_not_judged_on_more() -> None:
    with pytest.raises(zoo.DataError, match=r"has 10 classes; .* tells 3 apart") as caught:
        zoo.evaluate(zoo.load(DIGITS, num_classes=3), few("digits"))
    assert "\n" not in str(caught.value)


def test_a_split_that_does_not_exist_is_told() -> None:
    with pytest.raises(zoo.ZooError, match="has no split 'dev'; it has: train, validation, test"):
        zoo.evaluate(DIGITS, "digits", split="dev")


def test_a_model_without_weights_is_neither_judged_nor_asked() -> None:
    with pytest.raises(zoo.WeightsError, match=r"say cnn/lenet5.TAG \(tags: digits"):
        zoo.evaluate(LENET, "digits")
    with pytest.raises(zoo.WeightsError, match="has no weights loaded"):
        zoo.predict(LENET, ["x.png"])
    with pytest.raises(zoo.WeightsError, match=r"does not come from zoo\.load"):
        zoo.predict(torch.nn.Linear(1, 1), ["x.png"])


# -- asking -----------------------------------------------------------------------------------


def test_images_are_told_apart(tmp_path: Path) -> None:
    data = zoo.load_dataset("digits")
    paths = [tmp_path / f"{number}.png" for number in range(20)]
    for number, path in enumerate(paths):
        write_sample(data, "test", number, path)
    records = zoo.predict(DIGITS, paths, batch_size=7)
    labels = [str(label) for label in data.splits["test"]["labels"][:20]]
    assert sum(record["label"] == label for record, label in zip(records, labels, strict=True)) >= 18
    for record in records:
        assert next(iter(record["top"])) == record["label"]
        assert list(record["top"].values()) == sorted(record["top"].values(), reverse=True)
        assert len(record["top"]) == 3
        assert record["probability"] == record["top"][record["label"]]
    (whole,) = zoo.predict(DIGITS, paths[:1], top=99)
    assert sum(whole["top"].values()) == pytest.approx(1, abs=1e-5)


def test_an_image_is_asked_about_as_it_was_trained(tmp_path: Path) -> None:
    """The way from a file is the way from the data set."""
    module, data = zoo.load(DIGITS), few("digits", 8)
    for number in range(8):
        write_sample(data, "test", number, tmp_path / f"{number}.png")
    encoded = image_classification.encode(
        data.splits["test"], module.zoo.preprocess, data.problem, training=False
    )
    with torch.no_grad():
        expected = module(encoded.columns["images"]).softmax(dim=1).amax(dim=1)
    found = zoo.predict(module, [tmp_path / f"{number}.png" for number in range(8)])
    assert [record["probability"] for record in found] == pytest.approx(expected.tolist(), abs=0.02)


def test_texts_are_told_apart(text_run: zoo.Run) -> None:
    texts = ["# a comment", "def function(argument):", ""]
    records = zoo.predict(text_run.path, texts)
    assert len(records) == 3
    assert [record["label"] for record in records[:2]] == ["comment", "signature"]
    assert zoo.predict(text_run.path, texts[0]) == zoo.predict(text_run.path, texts[:1])


def test_numbers_and_files_of_numbers_are_the_same(tmp_path: Path) -> None:
    data = zoo.load_dataset("cbf")
    series = data.splits["train"]["series"][0, :, 0]
    np.savetxt(tmp_path / "series.csv", series[None], delimiter=",", fmt="%.9g")
    np.savetxt(tmp_path / "lines.txt", series, fmt="%.9g")
    np.save(tmp_path / "series.npy", series)
    written = " ".join(f"{value:.9g}" for value in series)
    items = [written, *(str(tmp_path / name) for name in ("series.csv", "lines.txt", "series.npy"))]
    records = zoo.predict("cnn/fcn.cbf", items)
    assert all(record == records[0] for record in records)
    assert records[0]["label"] == data.labels[int(data.splits["train"]["labels"][0])]


def test_a_forecast_is_in_the_datas_own_units(tmp_path: Path) -> None:
    data = zoo.load_dataset("mackey-glass")
    series = data.splits["test"]["series"][:120, 0]
    np.save(tmp_path / "history.npy", series[:96])
    (record,) = zoo.predict("cnn/tcn.mackey-glass", [str(tmp_path / "history.npy")])
    forecast = np.array(record["forecast"])
    assert forecast.shape == (24, 1)
    errors = np.abs(forecast[:, 0] - series[96:])
    assert errors.mean() < 0.5 * np.abs(series[95] - series[96:]).mean()


@pytest.mark.parametrize(
    ("model", "item", "told"),
    [
        (DIGITS, "missing.png", "no such image: 'missing.png'"),
        (DIGITS, __file__, "cannot be read as an image"),
        ("cnn/fcn.cbf", "one two three", "is neither a file of numbers nor numbers"),
        ("cnn/fcn.cbf", "", "0 numbers do not make a series"),
        ("cnn/tcn.mackey-glass", "1 2 3", "the history has 3 steps; the model needs 96"),
    ],
)
def test_what_cannot_be_read_is_one_line(model: str, item: str, told: str) -> None:
    with pytest.raises(zoo.DataError, match=told) as caught:
        zoo.predict(model, [item])
    assert "\n" not in str(caught.value)


def test_records_are_reported_as_they_come(text_run: zoo.Run) -> None:
    seen: list[int] = []
    zoo.predict(
        text_run.path, ["a", "b", "c"], batch_size=2, report=lambda records: seen.append(len(records))
    )
    assert seen == [2, 1]


# -- listing and recommending -----------------------------------------------------------------


def test_models_are_listed_by_filters() -> None:
    assert LENET in zoo.list_models(task="image-classification", plugin="cnn")
    assert zoo.list_models("cnn/*", task="forecasting") == ["cnn/tcn"]
    assert zoo.info(LENET).spec.name == "lenet5"
    with pytest.raises(zoo.UnknownNameError, match="did you mean forecasting"):
        zoo.list_models(task="forecastin")


def test_a_recommendation_can_be_asked_for_again() -> None:
    first = zoo.recommend(data="cbf", device="cpu")
    again = zoo.recommend(data="cbf", device="cpu")
    assert callable(zoo.recommend)
    assert [choice.model for choice in first.recommendations]
    assert [choice.name for choice in first.recommendations] == [c.name for c in again.recommendations]
    assert "--data cbf" in first.recommendations[0].command


def test_a_recommendation_follows_from_a_problem_or_from_data_in_hand() -> None:
    data = few("cbf")
    from_data = zoo.recommend(data=data, device="cpu")
    from_problem = zoo.recommend(data.problem, device="cpu")
    assert [c.model for c in from_data.recommendations] == [c.model for c in from_problem.recommendations]
    with pytest.raises(zoo.SpecError, match="give either a problem or data"):
        zoo.recommend()
    with pytest.raises(zoo.SpecError, match="give either a problem or data"):
        zoo.recommend(data.problem, data=data)


def test_every_split_of_the_sample_data_can_be_judged(run: zoo.Run) -> None:
    sizes = {split: zoo.evaluate(run.path, few("digits", 8), split=split).samples for split in SPLITS}
    assert sizes == dict.fromkeys(SPLITS, 8)


def test_what_can_be_no_path_is_told_as_any_unknown_name() -> None:
    long = "x" * 5_000
    with pytest.raises(zoo.UnknownNameError, match="no model named"):
        zoo.load(long)
    with pytest.raises(zoo.UnknownNameError, match="no weights tagged"):
        zoo.load("cnn/lenet5", weights=long)
    with pytest.raises(zoo.WeightsError, match="no such file"):
        zoo.load("cnn/lenet5", weights=f"file:{long}")
    with pytest.raises(zoo.DataError, match="no file, folder or data set named"):
        zoo.evaluate("cnn/lenet5.digits", long)
    with pytest.raises(zoo.DataError, match="no such image"):
        zoo.predict("cnn/lenet5.digits", [long])
