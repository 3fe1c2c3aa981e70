"""`zoo evaluate` with the shipped weights: classes, steps, single samples, and other models beside it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from datafiles import picture
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

import zoo
from zoo import api
from zoo.cli import cli
from zoo.comparison import compare
from zoo.evaluation import Evaluation, intervals
from zoo.judging.classes import ClassReport, calibrate
from zoo.judging.worst import hardest
from zoo.specs import TaskSpec
from zoo.tasks.base import Baseline

FRACTION = TaskSpec(name="guess", implementation="a:b", metric="accuracy")
NUMBER = FRACTION.replace(metric="mase", maximize=False, unit="number")
SHIPPED = {
    "cnn/lenet5.digits": "digits",
    "lstm/seq2seq.dates": "dates",
    "cnn/fcn.control": "control",
    "lstm/forecaster.mackey-glass": "mackey-glass",
}


def shell(*arguments: str) -> subprocess.CompletedProcess[str]:
    """`zoo` in a process of its own."""
    done = subprocess.run(
        (sys.executable, "-m", "zoo", *arguments), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, [*map(str, arguments)], obj={}, catch_exceptions=True)


def refusal(*arguments: str | Path) -> str:
    """The one line of what is refused."""
    done = run(*arguments)
    assert isinstance(done.exception, zoo.ZooError), done.output
    assert "\n" not in str(done.exception)
    return str(done.exception)


@pytest.fixture(scope="module")
def judged() -> dict[str, dict[str, Any]]:
    """What the command says of a shipped model for each task, from the shell."""
    options = ("--device", "cpu", "--json", "--worst", "3")
    return {
        model: json.loads(shell("evaluate", model, "--data", data, *options).stdout)
        for model, data in SHIPPED.items()
    }


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one step that tells texts of the classes a and b apart."""
    place = tmp_path_factory.mktemp("texts")
    rows = [f"text {'ab'[number % 2]} {number},{'ab'[number % 2]}" for number in range(40)]
    (place / "t.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    zoo.train("cnn/textcnn", str(place / "t.csv"), output=place / "run", settings={"steps": 1}, device="cpu")
    return place / "run"


# -- from the shell -----------------------------------------------------------------------------


def test_what_was_there_is_still_there(judged: dict[str, dict[str, Any]]) -> None:
    for model, found in judged.items():
        assert (found["schema"], found["model"], found["data"]) == (1, model, SHIPPED[model])
        assert found["samples"] > 0
        assert all({"value", "low", "high"} == set(metric) for metric in found["metrics"].values())
        assert len(found["worst"]) == 3


@pytest.mark.parametrize("model", ["cnn/lenet5.digits", "cnn/fcn.control"])
def test_classes_are_counted_as_the_accuracy_has_it(judged: dict[str, dict[str, Any]], model: str) -> None:
    found = judged[model]
    matrix = np.array(found["confusion"]["matrix"])
    accuracy = found["metrics"]["accuracy"]["value"]
    assert matrix.trace() / matrix.sum() == pytest.approx(accuracy)
    assert matrix.sum(axis=1).tolist() == [row["support"] for row in found["per_class"]]
    assert sum(pair["count"] for pair in found["confusion"]["largest"]) == matrix.sum() - matrix.trace()
    assert np.mean([row["f1"] for row in found["per_class"]]) == pytest.approx(
        found["metrics"]["macro_f1"]["value"]
    )
    calibration = found["calibration"]
    assert calibration["accuracy"] == pytest.approx(accuracy)
    shares = [each["count"] / found["samples"] for each in calibration["bins"]]
    gaps = [abs(each["confidence"] - each["accuracy"]) for each in calibration["bins"]]
    assert calibration["ece"] == pytest.approx(float(np.dot(shares, gaps)), abs=1e-6)


def test_the_worst_samples_are_wrong_and_can_be_found_again(
    judged: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    found = judged["cnn/lenet5.digits"]
    costs = [sample["loss"] for sample in found["worst"]]
    assert found["loss"] == "cross_entropy"
    assert costs == sorted(costs, reverse=True)
    first = found["worst"][0]
    assert first["label"] != first["answer"]
    output = tmp_path / "worst.png"
    told = run("datasets", "sample", "digits", "--index", str(first["sample"]), "--output", output).output
    assert told.rstrip().endswith(f"answer {first['label']!r}")
    (record,) = zoo.predict("cnn/lenet5.digits", [output])
    assert record["label"] == first["answer"]


def test_the_worst_pairs_are_told_as_texts(judged: dict[str, dict[str, Any]]) -> None:
    for sample in judged["lstm/seq2seq.dates"]["worst"]:
        (record,) = zoo.predict("lstm/seq2seq.dates", sample["text"])
        assert record["text"] == sample["answer"] != sample["label"]
        assert len(sample["label"]) == len("2024-01-31")


def test_a_forecast_is_judged_step_by_step(judged: dict[str, dict[str, Any]]) -> None:
    found = judged["lstm/forecaster.mackey-glass"]
    errors = [step["mase"] for step in found["steps"]]
    assert [step["step"] for step in found["steps"]] == list(range(1, 25))
    assert np.mean(errors) == pytest.approx(found["metrics"]["mase"]["value"], rel=1e-4)
    assert errors[-1] > errors[0]
    places = sorted(sample["sample"] for sample in found["worst"])
    assert min(np.diff(places)) >= 24  # no two of them foretell the same steps


def test_two_models_are_compared_in_one_sentence() -> None:
    options = ("--data", "digits", "--compare", "transformer/vit.digits", "--device", "cpu")
    done = run("evaluate", "cnn/lenet5.digits", *options)
    (line,) = (line for line in done.stdout.splitlines() if "p = " in line)
    assert line.startswith("transformer/vit.digits is worse than cnn/lenet5.digits in accuracy by ")
    assert line.endswith("may well be luck (McNemar, exact; 95% interval)")
    assert "more:" not in done.stdout


# -- what the terminal shows --------------------------------------------------------------------


def test_the_plain_output_is_short_and_says_what_there_is_more() -> None:
    done = run("evaluate", "cnn/lenet5.digits", "--data", "digits", "--device", "cpu")
    lines = done.stdout.splitlines()
    assert len(lines) == 8
    assert lines[-2].startswith("calibration: sure by ")
    assert lines[-1] == "more: --per-class, --confusion, --worst N, --compare MODEL; all of it: --json"


def test_classes_and_confusions_are_told_in_words() -> None:
    options = ("--data", "digits", "--per-class", "--confusion", "--worst", "2", "--device", "cpu")
    told = run("evaluate", "cnn/lenet5.digits", *options).stdout
    assert "class  precision  recall      F1  samples" in told
    assert "1 taken for 2: 2 (6.7% of 1)" in told
    assert "sample  label  answer  cross_entropy" in told


def test_the_file_and_the_row_of_a_bad_sample_are_named(tmp_path: Path, texts: Path) -> None:
    for number in range(4):
        picture(tmp_path / "new" / "test" / str(number % 2) / f"{number}.png", shade=200)
    found = zoo.evaluate("cnn/lenet5.digits", str(tmp_path / "new"), worst=4)
    assert {sample.where for sample in found.worst} == {
        str(tmp_path / "new" / "test" / str(number % 2) / f"{number}.png") for number in range(4)
    }
    (tmp_path / "t.csv").write_text(
        "text,label,split\nx,a,train\ny,b,validation\nthird,b,test\nfourth,a,test\n"
    )
    judged = zoo.evaluate(texts, str(tmp_path / "t.csv"), worst=9)
    assert {(sample.where, sample.text, sample.label) for sample in judged.worst} == {
        ("row 3", "third", "b"),
        ("row 4", "fourth", "a"),
    }


def test_the_worst_windows_of_a_language_model_are_told_as_text(tmp_path: Path) -> None:
    (tmp_path / "book.txt").write_text("a word and another, " * 400)
    settings = {"steps": 1}
    zoo.train("lstm/language_model", str(tmp_path / "book.txt"), output=tmp_path / "lm", settings=settings)
    found = zoo.evaluate(tmp_path / "lm", api.data_of(tmp_path / "lm"), worst=1)
    assert found.loss == "bits_per_byte"
    assert "word and another" in found.worst[0].text


# -- the figures themselves ---------------------------------------------------------------------


def test_scores_of_classes_agree_with_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    true, predicted = rng.integers(0, 4, 200), rng.integers(0, 4, 200)
    report = ClassReport(labels=("a", "b", "c", "d"), predicted=predicted, true=true)
    expected = precision_recall_fscore_support(true, predicted)
    for name, column in zip(("precision", "recall", "f1", "support"), expected, strict=True):
        np.testing.assert_allclose([getattr(row, name) for row in report.scores], column)
    np.testing.assert_array_equal(report.matrix, confusion_matrix(true, predicted))
    first = report.confusions[0]
    off = report.matrix - np.diag(np.diag(report.matrix))
    assert first.count == off.max() == off["abcd".index(first.true), "abcd".index(first.answer)]


def test_calibration_is_the_mean_gap_of_fifteen_bins() -> None:
    sure = torch.tensor([0.95, 0.95, 0.95, 0.95, 0.55, 0.55])
    right = torch.tensor([True, True, True, False, True, False])
    found = calibrate(sure, right)
    assert found.error == pytest.approx((4 * 0.2 + 2 * 0.05) / 6)
    expected = [(0.55, 0.5, 2), (0.95, 0.75, 4)]
    assert np.array(found.bins) == pytest.approx(np.array(expected))


def test_the_hardest_rows_keep_apart() -> None:
    losses = np.array([5.0, 9.0, 8.0, 1.0, 7.0])
    assert hardest(losses, 3) == [1, 2, 4]
    assert hardest(losses, 3, apart=3) == [1, 4]


def evaluated(
    name: str, metric: str, values: torch.Tensor, weights: torch.Tensor | None = None
) -> Evaluation:
    scores = {metric: (values, torch.ones(len(values)) if weights is None else weights)}
    return Evaluation(
        model=name,
        task="guess",
        data="d",
        split="test",
        samples=len(values),
        metrics=intervals(scores),
        baseline=Baseline(name="none", metrics={}),
        scores=scores,
    )


def test_right_and_wrong_are_compared_by_mcnemars_test() -> None:
    ours = torch.tensor([1.0] * 80 + [0.0] * 20)
    theirs = torch.tensor([1.0] * 79 + [0.0] * 1 + [1.0] * 9 + [0.0] * 11)  # wins 9, loses 1
    found = compare(evaluated("a/x", "accuracy", ours), evaluated("b/y", "accuracy", theirs), FRACTION)
    assert found.test == "McNemar, exact"
    assert found.p_value == pytest.approx(2 * (1 + 10) / 2**10)
    assert found.difference == pytest.approx(0.08)
    assert 0 < found.low < 0.08 < found.high < 0.16
    assert str(found).startswith("b/y is better than a/x in accuracy by 8.0 points [")
    assert str(found).endswith("]; p = 0.021: unlikely to be luck")


def test_numbers_are_compared_by_a_permutation_test_in_which_less_may_be_better() -> None:
    ours = torch.rand(200, generator=torch.Generator().manual_seed(0))
    better, same = ours - 0.1, ours[torch.randperm(200, generator=torch.Generator().manual_seed(1))]
    reference = evaluated("a/x", "mase", ours)
    found = compare(reference, evaluated("b/y", "mase", better), NUMBER)
    assert found.test == "paired permutation"
    assert found.p_value < 0.001
    assert str(found).startswith("b/y is better than a/x in mase by 0.1 [0.1, 0.1]; p = ")
    luck = compare(reference, evaluated("b/z", "mase", same), NUMBER)
    assert luck.p_value > 0.9
    itself = compare(reference, reference, NUMBER)
    assert (itself.difference, itself.p_value) == (0.0, 1.0)
    assert "is as good as" in str(itself)


def test_samples_that_differ_are_not_compared() -> None:
    ours = evaluated("a/x", "accuracy", torch.ones(4))
    for values, weights in ((torch.ones(5), None), (torch.ones(4), torch.tensor([1.0, 1, 1, 2]))):
        with pytest.raises(zoo.ZooError, match="into different samples"):
            compare(ours, evaluated("b/y", "accuracy", values, weights), FRACTION)


# -- what is refused ----------------------------------------------------------------------------


def test_bad_input_is_one_line(tmp_path: Path, texts: Path) -> None:
    digits = ("--data", "digits", "--device", "cpu")
    told = refusal("evaluate", "cnn/lenet5.digits", *digits, "--compare", str(texts))
    assert told == (
        "cnn/lenet5.digits does image-classification and cnn/textcnn.run text-classification; compare models "
        "of one task"
    )
    assert "does text-classification; data 'digits' is for image" in refusal("evaluate", texts, *digits)
    assert "has no weights loaded" in refusal("evaluate", "cnn/lenet5", *digits)
    (tmp_path / "t.csv").write_text("alpha,beta\n1,x\n2,y\n")
    assert "has the columns alpha, beta" in refusal("evaluate", texts, "--data", tmp_path / "t.csv")
    forecaster = ("evaluate", "lstm/forecaster.mackey-glass", "--data", "mackey-glass", "--device", "cpu")
    assert refusal(*forecaster, "--confusion").endswith("has no classes; leave out --confusion")


def test_half_a_run_folder_is_one_line(tmp_path: Path, texts: Path) -> None:
    half = tmp_path / "half"
    half.mkdir()
    (half / "run.json").write_bytes((texts / "run.json").read_bytes())
    assert str(half) in refusal("evaluate", half, "--data", texts.parent / "t.csv", "--device", "cpu")
