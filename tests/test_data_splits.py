"""Samples by split and batch, data sets as a whole, and one sample as a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from datafiles import folder
from PIL import Image

import zoo
from zoo.data.dataset import SPLITS, Dataset
from zoo.data.load import match_labels
from zoo.data.sample import write_sample
from zoo.data.splits import TensorSplit, WindowSplit, batched, epoch_rows, in_order
from zoo.data.splitting import SHARES, split_rows, stratified

# -- splitting --------------------------------------------------------------------------------


def test_a_stratified_split_uses_every_row_once_in_each_class() -> None:
    labels = np.array([0] * 40 + [1] * 20 + [2] * 2)
    rows = stratified(labels, SHARES)
    assert sorted(np.concatenate(list(rows.values())).tolist()) == list(range(62))
    assert [int((labels[rows[split]] == 0).sum()) for split in SPLITS] == [28, 6, 6]
    assert [int((labels[rows[split]] == 1).sum()) for split in SPLITS] == [14, 3, 3]
    assert [int((labels[rows[split]] == 2).sum()) for split in SPLITS] == [2, 0, 0]  # too few to share


def test_a_split_is_the_same_for_the_same_seed_alone() -> None:
    first, again, other = (split_rows(100, SHARES, seed)["test"].tolist() for seed in (0, 0, 1))
    assert first == again != other


def test_an_epochs_order_follows_from_seed_and_epoch() -> None:
    order = epoch_rows(50, seed=3, epoch=2)
    assert sorted(order.tolist()) == list(range(50))
    assert torch.equal(order, epoch_rows(50, seed=3, epoch=2))
    assert not torch.equal(order, epoch_rows(50, seed=3, epoch=3))
    assert not torch.equal(order, epoch_rows(50, seed=4, epoch=2))


def test_windows_are_cut_into_their_parts() -> None:
    windows = WindowSplit(torch.arange(10.0)[:, None], {"history": 3, "future": 2}, stride=2)
    assert len(windows) == 3
    batch = windows.take(torch.tensor([2, 0]))
    assert batch["history"][:, :, 0].tolist() == [[4, 5, 6], [0, 1, 2]]
    assert batch["future"][:, :, 0].tolist() == [[7, 8], [3, 4]]
    assert len(WindowSplit(torch.arange(4), {"history": 3, "future": 2}, stride=1)) == 0


def test_in_order_gives_every_sample_once() -> None:
    split = TensorSplit({"x": torch.arange(7)})
    assert [batch["x"].tolist() for batch in in_order(split, 3)] == [[0, 1, 2], [3, 4, 5], [6]]
    assert list(batched("abcde", 2)) == ["ab", "cd", "e"]


# -- data sets --------------------------------------------------------------------------------


def images(names: tuple[str, ...], labels: list[int]) -> Dataset:
    columns = {"images": np.zeros((len(labels), 1, 4, 4), np.uint8), "labels": np.array(labels)}
    problem = zoo.Problem(
        task="image-classification",
        input=zoo.ImageInput(channels=1, height=4, width=4),
        output=zoo.Classes(count=len(names), names=names),
    )
    return Dataset(name="mine", problem=problem, splits=dict.fromkeys(SPLITS, columns))


def test_a_dataset_without_a_split_is_refused() -> None:
    whole = images(("a", "b"), [0, 1])
    with pytest.raises(zoo.DataError, match="data 'mine': no validation and no test split"):
        Dataset(name="mine", problem=whole.problem, splits={"train": whole.splits["train"]})


def test_a_fingerprint_changes_with_every_value() -> None:
    prints = {
        images(("a", "b"), [0, 1, 0]).fingerprint(),
        images(("a", "b"), [0, 1, 1]).fingerprint(),
        images(("a", "b"), [0, 1]).fingerprint(),
    }
    assert len(prints) == 3
    assert images(("a", "b"), [0, 1]).fingerprint() in prints


def test_classes_are_renumbered_as_the_model_knows_them() -> None:
    data = images(("b", "a"), [0, 1, 1])
    problem = data.problem.replace(output=zoo.Classes(count=3, names=("a", "b", "c")))
    matched = match_labels(data, problem, ("a", "b", "c"), "cnn/lenet5.mine")
    assert matched.splits["test"]["labels"].tolist() == [1, 0, 0]
    assert matched.problem.output == problem.output
    with pytest.raises(zoo.DataError, match="classes that cnn/lenet5 does not know: b; it knows: a, c"):
        match_labels(data, problem, ("a", "c"), "cnn/lenet5")


# -- one sample as a file ---------------------------------------------------------------------


def test_an_image_is_written_as_it_is(tmp_path: Path) -> None:
    dataset = zoo.load_dataset("digits")
    told = write_sample(dataset, "test", 3, tmp_path / "three.png")
    columns = dataset.splits["test"]
    with Image.open(tmp_path / "three.png") as image:
        assert np.array_equal(np.asarray(image), columns["images"][3, 0])
    assert told == f"{tmp_path / 'three.png'}: sample 3 of digits (test), answer '{columns['labels'][3]}'"


def test_a_colour_image_keeps_its_colours(tmp_path: Path) -> None:
    dataset = zoo.load_dataset(str(folder(tmp_path / "pets")))
    assert "answer 'dog'" in write_sample(dataset, "test", 5, tmp_path / "dog.png")
    with Image.open(tmp_path / "dog.png") as image:
        assert image.size == (12, 10)
        assert image.getpixel((0, 0)) == (90, 0, 0)


def test_a_series_is_written_a_line_for_each_step(tmp_path: Path) -> None:
    dataset = zoo.load_dataset("cbf")
    assert "answer " in write_sample(dataset, "train", 0, tmp_path / "series.csv")
    written = np.loadtxt(tmp_path / "series.csv", delimiter=",")
    np.testing.assert_allclose(written, dataset.splits["train"]["series"][0, :, 0], rtol=1e-6)


def test_a_history_is_written_for_a_forecast(tmp_path: Path) -> None:
    dataset = zoo.load_dataset("mackey-glass")
    write_sample(dataset, "test", 7, tmp_path / "history.csv")
    written = np.loadtxt(tmp_path / "history.csv", delimiter=",")
    np.testing.assert_allclose(written, dataset.splits["test"]["series"][7:103, 0], rtol=1e-6)
    with pytest.raises(zoo.DataError, match="has 505 samples; there is no 505"):
        write_sample(dataset, "test", 505, tmp_path / "none.csv")


def test_a_text_is_written_with_its_answer_beside_it(tmp_path: Path) -> None:
    dataset = zoo.load_dataset("dates")
    told = write_sample(dataset, "test", 0, tmp_path / "date.txt")
    assert (tmp_path / "date.txt").read_text() == dataset.splits["test"]["source"][0]
    assert told.endswith(f"answer {dataset.splits['test']['target'][0]!r}")


def test_a_sample_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / "kept.png").write_text("kept")
    with pytest.raises(zoo.DataError, match="exists already"):
        write_sample(zoo.load_dataset("digits"), "test", 0, tmp_path / "kept.png")
    assert (tmp_path / "kept.png").read_text() == "kept"


@pytest.mark.parametrize(
    ("split", "index", "output", "told"),
    [
        ("dev", 0, "x.png", "has no split 'dev'; it has: train, validation, test"),
        ("test", 300, "x.png", "has 300 samples; there is no 300"),
        ("test", 0, "missing/x.png", "cannot be written: No such file or directory"),
    ],
)
def test_a_sample_that_cannot_be_written_is_one_line(
    tmp_path: Path, split: str, index: int, output: str, told: str
) -> None:
    folder = tmp_path / "samples"  # the zoo keeps files of its own beside it
    folder.mkdir()
    with pytest.raises(zoo.DataError, match=told):
        write_sample(zoo.load_dataset("digits"), split, index, folder / output)
    assert list(folder.iterdir()) == []
