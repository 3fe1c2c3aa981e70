"""Classes that are rare, missing or unbalanced."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn.metrics
import torch
from datafiles import folder, picture, reading_of, refused, write_table

import zoo
from zoo.data.balance import balanced_weights, settle_balance, warn_of_balance
from zoo.data.dataset import SPLITS, Dataset
from zoo.data.splits import TensorSplit, balanced_rows
from zoo.evaluation import intervals, means
from zoo.tasks.base import ANSWERS
from zoo.tasks.classification import image_classification

# -- bad classes ------------------------------------------------------------------------------


def test_a_class_with_one_sample_is_named(tmp_path: Path) -> None:
    dataset = zoo.load_dataset(str(write_table(tmp_path / "t.csv", "lone,c")))
    assert dataset.labels == ("a", "b", "c")
    assert dataset.class_counts("train") == {"a": 6, "b": 6, "c": 1}
    assert dataset.reading
    absent, unbalanced = dataset.reading.warnings
    assert absent == "classes without a sample to test on: 'c'; how good they are will not be known"
    assert unbalanced == (
        "unbalanced classes: 'c' 1 training samples beside 'b' 6; judge by macro_f1 too, and try: "
        "-o class_weights=balanced, or -o balanced=true"
    )


def test_test_labels_that_train_lacks_are_refused(tmp_path: Path) -> None:
    folder(tmp_path / "train", 9)
    folder(tmp_path / "test", 3)
    picture(tmp_path / "test" / "zebra" / "1.png")
    assert "test has classes that train lacks: 'zebra'; give train samples of them" in refused(tmp_path)


def test_train_labels_that_test_lacks_are_named(tmp_path: Path) -> None:
    folder(tmp_path / "train", 9)
    folder(tmp_path / "test", 3)
    for number in range(9):
        picture(tmp_path / "train" / "zebra" / f"{number}.png")
    (warning,) = reading_of(tmp_path).warnings
    assert warning.startswith("classes without a sample to test on: 'zebra'")


# -- unbalanced classes -----------------------------------------------------------------------


def unbalanced(rare: int = 10, common: int = 90) -> Dataset:
    labels = np.array([0] * common + [1] * rare)
    noise = np.random.default_rng(0).normal(128, 40, size=(len(labels), 1, 8, 8))
    pixels = (noise + 12 * labels[:, None, None, None]).clip(0, 255).astype(np.uint8)
    problem = zoo.Problem(
        task="image-classification",
        input=zoo.ImageInput(channels=1, height=8, width=8),
        output=zoo.Classes(count=2, names=("common", "rare")),
    )
    columns = {"images": pixels, "labels": labels}
    return Dataset(name="rare", problem=problem, splits=dict.fromkeys(SPLITS, columns))


def test_an_even_set_warns_of_nothing_and_an_uneven_one_names_its_classes() -> None:
    assert warn_of_balance({"a": 100, "b": 120, "c": 90}) == []
    (line,) = warn_of_balance({"a": 1000, "b": 900, "c": 12, "d": 7})
    assert line.startswith("unbalanced classes: 'd' 7, 'c' 12 training samples beside 'a' 1,000;")


def test_balanced_rows_hold_as_many_of_each_class() -> None:
    split = TensorSplit({"labels": torch.tensor([0] * 900 + [1] * 100)})
    rows = balanced_rows(split, seed=0, epoch=0)
    assert len(rows) == 1000
    assert 0.44 < float(split.columns["labels"][rows].float().mean()) < 0.56
    assert torch.equal(rows, balanced_rows(split, seed=0, epoch=0))
    assert not torch.equal(rows, balanced_rows(split, seed=0, epoch=1))


def test_class_weights_weigh_the_loss() -> None:
    batch = {"labels": torch.tensor([0, 0, 1])}
    logits = torch.tensor([[2.0, 0.0], [2.0, 0.0], [2.0, 0.0]])
    plain = image_classification.loss(logits, batch, zoo.Recipe())
    weighed = image_classification.loss(logits, batch, zoo.Recipe(class_weights=(1.0, 2.0)))
    each = torch.nn.functional.cross_entropy(logits, batch["labels"], reduction="none")
    assert float(plain) == pytest.approx(float(each.mean()))
    assert float(weighed) == pytest.approx(float((each * torch.tensor([1.0, 1.0, 2.0])).sum() / 4))


BALANCED = {"weights": {"class_weights": "balanced"}, "draws": {"balanced": True}}


@pytest.mark.parametrize("way", BALANCED)
def test_a_balanced_training_knows_the_rare_class(tmp_path: Path, way: str) -> None:
    def train(name: str, **settings: Any) -> zoo.Run:
        settings = {"epochs": 3, "batch_size": 20, "lr": 1e-3, "warmup_epochs": 0, **settings}
        return zoo.train("cnn/lenet5", unbalanced(), output=tmp_path / name, settings=settings, device="cpu")

    plain, balanced = train("plain"), train("balanced", **BALANCED[way])
    assert plain.metrics["accuracy"] == pytest.approx(0.9)  # everything is common
    assert plain.metrics["balanced_accuracy"] == pytest.approx(0.5)
    assert balanced.metrics["balanced_accuracy"] > 0.8
    assert balanced.metrics["macro_f1"] > plain.metrics["macro_f1"] + 0.1
    weights = balanced.record.recipe.class_weights
    assert weights == ((0.555556, 5.0) if way == "weights" else "none")


def test_macro_metrics_count_each_class_the_same() -> None:
    predicted, true = torch.tensor([0] * 10), torch.tensor([0] * 9 + [1])
    right = (predicted == true).float()
    found = means({"accuracy": (right, torch.ones(10)), ANSWERS: (predicted, true)})
    assert found == {
        "accuracy": pytest.approx(0.9),
        "macro_f1": pytest.approx(sklearn.metrics.f1_score(true, predicted, average="macro")),
        "balanced_accuracy": pytest.approx(0.5),
    }
    spans = intervals({"accuracy": (right, torch.ones(10)), ANSWERS: (predicted, true)})
    assert spans.keys() == found.keys()
    assert all(span.low <= span.value <= span.high for span in spans.values())


def test_class_weights_are_a_rule_or_numbers() -> None:
    assert zoo.Recipe(class_weights=[1, 2.5]).class_weights == (1.0, 2.5)
    for wrong in ("even", [1.0, -1.0]):
        with pytest.raises(zoo.SpecError, match="class_weights = "):
            zoo.Recipe(class_weights=wrong)


@pytest.mark.parametrize(
    ("data", "settings", "told"),
    [
        ("mackey-glass", {"balanced": True}, "data 'mackey-glass' has no classes to balance"),
        ("digits", {"class_weights": [1.0, 2.0]}, "has 2 class_weights; data 'digits' has 10 classes"),
    ],
)
def test_a_balance_that_fits_no_classes_is_refused(data: str, settings: dict[str, Any], told: str) -> None:
    with pytest.raises(zoo.DataError, match=told):
        settle_balance(zoo.Recipe(**settings), zoo.load_dataset(data))


def test_labels_of_a_class_weigh_by_their_number(tmp_path: Path) -> None:
    assert balanced_weights([90, 10]) == (0.555556, 5.0)
    assert balanced_weights([4, 0, 4]) == (1.0, 1.0, 1.0)
