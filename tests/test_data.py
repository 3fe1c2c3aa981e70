"""The user's own data: folders of images, tables of texts, how they are split, and what is refused."""

from __future__ import annotations

import io
import json
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest
import sklearn.metrics
import torch
from PIL import Image
from timm.data import create_transform

import zoo
from zoo.data.balance import balanced_weights, settle_balance, warn_of_balance
from zoo.data.dataset import SPLITS, Dataset, Reading
from zoo.data.load import match_labels
from zoo.data.sample import write_sample
from zoo.data.sources.files import unchanged
from zoo.data.splits import TensorSplit, WindowSplit, balanced_rows, batched, epoch_rows, in_order
from zoo.data.splitting import SHARES, split_rows, stratified
from zoo.evaluation import intervals, means
from zoo.registry import Registry
from zoo.tasks.base import ANSWERS, prepare
from zoo.tasks.classification import image_classification
from zoo.tasks.images import encode_images, fit_images, read_images
from zoo.tasks.series import encode_series, fit_series


def picture(path: Path, size: tuple[int, int] = (12, 10), mode: str = "RGB", shade: int = 90) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, shade if mode == "L" else (shade, 0, 0)).save(path)


def folder(root: Path, per_class: int = 20, **options: Any) -> Path:
    for name in ("cat", "dog"):
        for number in range(per_class):
            picture(root / name / f"{number}.png", **options)
    return root


def refused(source: Path | str, **options: Any) -> str:
    """What `load_dataset` says of it, in one line."""
    with pytest.raises(zoo.DataError) as caught:
        zoo.load_dataset(str(source), **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# -- folders of images ------------------------------------------------------------------------


def test_class_folders_are_split_by_class(tmp_path: Path) -> None:
    dataset = zoo.load_dataset(str(folder(tmp_path / "pets")))
    assert dataset.name == "pets"
    assert dataset.source == str(tmp_path / "pets")
    assert dataset.labels == ("cat", "dog")
    assert dataset.problem == zoo.Problem(
        task="image-classification",
        input=zoo.ImageInput(channels=3, height=10, width=12),
        output=zoo.Classes(count=2, names=("cat", "dog")),
        samples=28,
    )
    assert {split: dataset.size(split) for split in SPLITS} == {"train": 28, "validation": 6, "test": 6}
    for split in SPLITS:
        assert np.mean(dataset.splits[split]["labels"]) == 0.5
    assert len(dataset.splits["train"]["images"]) == 28
    assert dataset.splits["train"]["images"][0].shape == (3, 10, 12)
    assert (np.asarray(dataset.splits["train"]["images"][0])[0] == 90).all()
    assert dataset.reading
    assert dataset.reading.split == "70% train, 15% validation, 15% test, stratified by class, seed 0"


@pytest.mark.parametrize("validation", ["validation", "val", "valid"])
def test_given_splits_are_kept(tmp_path: Path, validation: str) -> None:
    for split, count in (("train", 5), (validation, 3), ("test", 2)):
        folder(tmp_path / split, count)
    dataset = zoo.load_dataset(str(tmp_path))
    assert [dataset.size(split) for split in SPLITS] == [10, 6, 4]
    assert dataset.splits["test"]["labels"].tolist() == [0, 0, 1, 1]


def test_a_missing_split_is_drawn_from_the_training_part(tmp_path: Path) -> None:
    folder(tmp_path / "train", 20)
    folder(tmp_path / "test", 5)
    dataset = zoo.load_dataset(str(tmp_path))
    assert [dataset.size(split) for split in SPLITS] == [34, 6, 10]
    assert dataset.reading
    assert dataset.reading.split.endswith("train and test as given, the rest out of train")


def test_files_and_folders_that_belong_nowhere_are_named(tmp_path: Path) -> None:
    for split in ("train", "test", "holiday"):
        folder(tmp_path / split, 9)
    picture(tmp_path / "train" / "loose.png")
    dataset = zoo.load_dataset(str(tmp_path))
    assert sum(map(dataset.size, SPLITS)) == 36
    assert dataset.reading
    assert dataset.reading.told == (
        "folders that are no split are passed over: holiday",
        "1 files in no class folder, such as 'loose.png', are passed over",
    )


def test_splits_without_one_to_train_on_are_refused(tmp_path: Path) -> None:
    folder(tmp_path / "val", 5)
    folder(tmp_path / "test", 5)
    assert "has validation and test, but no train split to learn from" in refused(tmp_path)


def test_grey_images_have_one_channel_and_mixed_ones_three(tmp_path: Path) -> None:
    grey = zoo.load_dataset(str(folder(tmp_path / "grey", 3, mode="L")))
    assert grey.splits["train"]["images"][0].shape == (1, 10, 12)
    folder(tmp_path / "mixed", 3, mode="L")
    picture(tmp_path / "mixed" / "cat" / "red.png")
    mixed = zoo.load_dataset(str(tmp_path / "mixed"))
    assert {image.shape[0] for image in mixed.splits["train"]["images"]} == {3}


def test_images_of_many_sizes_become_their_median_of_at_most_256(tmp_path: Path) -> None:
    for number, side in enumerate((10, 20, 400, 600, 800)):
        picture(tmp_path / "a" / f"{number}.jpg", (side, side // 2))
        picture(tmp_path / "b" / f"{number}.jpg", (side, side // 2))
    assert zoo.load_dataset(str(tmp_path)).problem.input == zoo.ImageInput(channels=3, height=128, width=256)


def test_images_are_turned_as_their_camera_said(tmp_path: Path) -> None:
    folder(tmp_path, 3, size=(4, 4))
    image = Image.new("RGB", (4, 4))
    image.putpixel((0, 0), (255, 0, 0))
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    image.save(tmp_path / "cat" / "0.png", exif=exif)
    dataset = zoo.load_dataset(str(tmp_path))
    (turned,) = [
        image for split in SPLITS for image in dataset.splits[split]["images"] if (image[0] == 255).any()
    ]
    assert turned[0, 3, 3] == 255


def test_a_split_does_not_depend_on_the_order_of_the_file_system(tmp_path: Path) -> None:
    folder(tmp_path / "one")
    for path in sorted((tmp_path / "one").rglob("*.png"), reverse=True):
        picture(tmp_path / "two" / path.relative_to(tmp_path / "one"))
    one, two = (zoo.load_dataset(str(tmp_path / name)) for name in ("one", "two"))
    assert one.fingerprint() == two.fingerprint()


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    assert "is empty; expected a folder of class folders" in refused(tmp_path)


def test_loose_images_without_classes_are_refused(tmp_path: Path) -> None:
    picture(tmp_path / "1.png")
    assert "no class folders and no table of labels: expected" in refused(tmp_path)


def test_a_single_class_is_refused(tmp_path: Path) -> None:
    picture(tmp_path / "cat" / "1.png")
    assert "single class, 'cat'" in refused(tmp_path)


def test_other_files_among_images_are_passed_over(tmp_path: Path) -> None:
    folder(tmp_path, 3)
    (tmp_path / "cat" / "Thumbs.db").write_bytes(b"\0")
    (tmp_path / "README.md").write_text("pets")
    assert sum(map(zoo.load_dataset(str(tmp_path)).size, SPLITS)) == 6


def test_a_table_that_names_no_images_is_passed_over(tmp_path: Path) -> None:
    folder(tmp_path, 3)
    (tmp_path / "prices.csv").write_text("item,price\nfood,3\n")
    assert zoo.load_dataset(str(tmp_path)).labels == ("cat", "dog")


def test_two_tables_that_name_images_are_told_apart_by_the_user(tmp_path: Path) -> None:
    for number in range(6):
        picture(tmp_path / f"{number}.png")
    for name in ("a.csv", "b.csv"):
        lines = "".join(f"{number}.png,{'xy'[number % 2]}\n" for number in range(6))
        (tmp_path / name).write_text("path,label\n" + lines)
    assert "holds several tables: a.csv, b.csv; give the path of the one that names the" in refused(tmp_path)
    assert zoo.load_dataset(str(tmp_path / "b.csv")).labels == ("x", "y")


def test_too_few_images_to_split_are_refused(tmp_path: Path) -> None:
    told = refused(folder(tmp_path, 2))
    assert "too small: its validation split would hold no sample; give at least 3 samples of a class" in told


# -- tables -----------------------------------------------------------------------------------

ROWS = [(f"a text, number {number}", "spam" if number % 2 else "ham") for number in range(20)]


def write_csv(path: Path, separator: str = ",") -> None:
    lines = [f'"{text}"{separator}{label}' for text, label in ROWS]
    path.write_text("\n".join([f"text{separator}label", *lines]) + "\n")


def write_jsonl(path: Path) -> None:
    path.write_text("".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in ROWS))


def write_parquet(path: Path) -> None:
    columns = {"text": [text for text, _ in ROWS], "label": [label for _, label in ROWS]}
    pyarrow.parquet.write_table(pyarrow.table(columns), path)


WRITERS: dict[str, Callable[[Path], None]] = {
    "mail.csv": write_csv,
    "mail.tsv": lambda path: write_csv(path, "\t"),
    "mail.jsonl": write_jsonl,
    "mail.parquet": write_parquet,
}


@pytest.mark.parametrize("name", WRITERS)
def test_texts_and_labels_are_the_same_from_every_format(tmp_path: Path, name: str) -> None:
    WRITERS[name](tmp_path / name)
    dataset = zoo.load_dataset(str(tmp_path / name))
    assert (dataset.name, dataset.source) == ("mail", str(tmp_path / name))
    assert dataset.problem.task == "text-classification"
    assert dataset.labels == ("ham", "spam")
    assert [dataset.size(split) for split in SPLITS] == [12, 4, 4]
    pairs = {
        (text, dataset.labels[label])
        for split in SPLITS
        for text, label in zip(
            dataset.splits[split]["text"], dataset.splits[split]["labels"].tolist(), strict=True
        )
    }
    assert pairs == set(ROWS)


@pytest.mark.parametrize("column", ["label", "labels", "class"])
def test_labels_may_be_numbers_and_go_by_several_names(tmp_path: Path, column: str) -> None:
    file = tmp_path / "data.csv"
    file.write_text(f"text,{column}\n" + "".join(f"t{number},{number % 3}\n" for number in range(30)))
    assert zoo.load_dataset(str(file)).labels == ("0", "1", "2")


def test_source_and_target_make_pairs(tmp_path: Path) -> None:
    file = tmp_path / "pairs.jsonl"
    file.write_text("".join(json.dumps({"source": "x" * n, "target": "y" * n}) + "\n" for n in range(1, 21)))
    dataset = zoo.load_dataset(str(file))
    assert dataset.problem.task == "seq2seq"
    assert [dataset.size(split) for split in SPLITS] == [14, 3, 3]
    assert dataset.problem.input == zoo.TokenInput(vocab_size=259, length=20)
    assert dataset.problem.output == zoo.TokenOutput(vocab_size=259, length=22)  # begin and end
    for columns in dataset.splits.values():
        assert [len(text) for text in columns["source"]] == [len(text) for text in columns["target"]]


def test_a_text_file_is_cut_into_three_in_order(tmp_path: Path) -> None:
    text = "".join(f"line {number}\n" for number in range(400))
    (tmp_path / "book.txt").write_text(text)
    dataset = zoo.load_dataset(str(tmp_path / "book.txt"))
    assert dataset.problem.task == "language-modeling"
    parts = [dataset.splits[split]["text"][0] for split in SPLITS]
    assert "".join(parts) == text
    assert [len(part) / len(text) for part in parts] == pytest.approx([0.7, 0.15, 0.15], abs=1e-3)


def test_many_documents_are_split_whole(tmp_path: Path) -> None:
    file = tmp_path / "documents.csv"
    documents = {f"document {number}" for number in range(40)}
    file.write_text("text\n" + "\n".join(sorted(documents)) + "\n")
    dataset = zoo.load_dataset(str(file))
    assert dataset.problem.task == "language-modeling"
    assert {text for split in SPLITS for text in dataset.splits[split]["text"]} == documents
    assert [dataset.size(split) for split in SPLITS] == [28, 6, 6]


FAULTS = {
    "empty.csv": ("", "is empty"),
    "header.csv": ("text,label\n", "holds no rows under its header"),
    "one.csv": ("text,label\n" + "hello,spam\n" * 9, "single class, 'spam'"),
    "columns.csv": ("review,stars\nfine,5\n", "has the columns review, stars; expected text and label"),
    "which.csv": (
        "text,stars\nfine,5\n",
        "has texts and the columns stars; if one is the label say --columns",
    ),
    "ragged.csv": ("text,label\na,x\nb,y,z\n", "cannot be read as csv: Row #3: Expected 2 columns, got 3"),
    "broken.jsonl": ('{"text": "a", "label": "x"}\n{"text": "a", "lab', "cannot be read as json: line 2"),
    "fake.parquet": ("not parquet at all", "cannot be read as parquet"),
    "fake.arrow": ("not arrow at all", "cannot be read as arrow"),
    "table.xlsx": ("x", "is of no known format; known: .csv"),
    "few.csv": ("text,label\na,x\nb,y\n", "its validation split would hold no sample"),
    "numbers.csv": ("1,2,3\n4,5,6\n", "begins with numbers where names of columns are expected"),
    "scores.csv": (
        "text,label\n" + "".join(f"t{n},{n / 7}\n" for n in range(40)),
        "has 40 different labels in 40 samples, such as '0.0'; that is no column of classes: say --columns",
    ),
    "twice.csv": ("text,text,label\na,b,x\n", "has two columns named 'text'; rename one of them"),
    "inner.jsonl": ('{"text": {"a": 1}, "label": "x"}\n', "expected text and label"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_table_that_is_no_good_is_refused_in_one_line(tmp_path: Path, name: str) -> None:
    content, told = FAULTS[name]
    (tmp_path / name).write_text(content)
    message = refused(tmp_path / name)
    assert told in message
    assert name.split(".")[0] in message


def test_a_wrong_name_is_told_with_the_closest(tmp_path: Path) -> None:
    assert refused("digit") == "no file, folder or data set named 'digit'; did you mean digits?"
    assert "data sets by name: " in refused(tmp_path / "nothing")


def test_a_plugins_loader_must_give_a_dataset() -> None:
    class Broken(Registry):
        def dataset_loader(self, name: str) -> Any:
            return lambda: [1, 2, 3]

    with pytest.raises(zoo.PluginError, match=r"returned a list where a zoo\.Dataset was expected"):
        zoo.load_dataset("digits", registry=Broken([]))


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
    with pytest.raises(zoo.DataError, match=told):
        write_sample(zoo.load_dataset("digits"), split, index, tmp_path / output)
    assert list(tmp_path.iterdir()) == []


# -- bad images -------------------------------------------------------------------------------


def noisy(path: Path, size: tuple[int, int] = (32, 32), seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(256, size=(size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def reading_of(source: Path | str, **options: Any) -> Reading:
    reading = zoo.load_dataset(str(source), **options).reading
    assert reading
    return reading


def test_a_truncated_jpeg_among_a_thousand_is_skipped_counted_and_named(tmp_path: Path) -> None:
    content = noisy(tmp_path / "one.jpg").read_bytes()
    (tmp_path / "one.jpg").unlink()
    for number in range(1000):
        path = tmp_path / "ab"[number % 2] / f"{number}.jpg"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    cut = tmp_path / "a" / "cut.jpg"
    cut.write_bytes(content[: len(content) // 2])
    dataset = zoo.load_dataset(str(tmp_path))
    assert sum(map(dataset.size, SPLITS)) == 1000
    assert dataset.reading
    (warning,) = dataset.reading.warnings
    assert warning.startswith(f"skipped 1 of 1,001 samples: {cut}: image file is truncated")
    with pytest.raises(zoo.DataError) as caught:
        zoo.load_dataset(str(tmp_path), strict=True)
    assert f"1 of 1,001 samples cannot be used ({cut}: image file is truncated" in str(caught.value)
    assert str(caught.value).endswith("with --strict none may be")


def test_a_text_that_says_it_is_an_image_is_skipped_and_named(tmp_path: Path) -> None:
    folder(tmp_path)
    (tmp_path / "cat" / "notes.jpg").write_text("buy milk")
    (warning,) = reading_of(tmp_path).warnings
    assert warning == f"skipped 1 of 41 samples: {tmp_path / 'cat' / 'notes.jpg'}: it is no image"
    assert "with --strict none may be" in refused(tmp_path, strict=True)


def test_images_of_which_most_are_none_are_refused(tmp_path: Path) -> None:
    for number in range(6):
        (tmp_path / "ab"[number % 2]).mkdir(exist_ok=True)
        (tmp_path / "ab"[number % 2] / f"{number}.jpg").write_text("buy milk")
    assert "6 of 6 samples cannot be used" in refused(tmp_path)


def test_an_image_that_a_table_names_but_is_not_there_is_skipped(tmp_path: Path) -> None:
    lines = [f"{number}.png,{'ab'[number % 2]}" for number in range(12)]
    for number in range(11):
        picture(tmp_path / f"{number}.png")
    (tmp_path / "t.csv").write_text("\n".join(["path,label", *lines]) + "\n")
    assert reading_of(tmp_path / "t.csv").warnings == (
        "skipped 1 of 12 samples: 11.png: there is no such file",
    )


STRANGE: dict[str, tuple[Callable[[], Image.Image], str, Any]] = {
    "cmyk": (lambda: Image.new("CMYK", (4, 4), (0, 255, 255, 0)), "jpg", (255, 0, 0)),
    "palette": (lambda: Image.new("RGB", (4, 4), (10, 200, 30)).quantize(4), "png", (10, 200, 30)),
    "clear": (lambda: Image.new("RGBA", (4, 4), (10, 200, 30, 128)), "png", (10, 200, 30)),
    "gif": (lambda: Image.new("P", (4, 4), 0), "gif", (0, 0, 0)),
    "deep": (lambda: Image.fromarray(np.full((4, 4), 257 * 77, np.uint16)), "png", (77, 77, 77)),
    "deep tiff": (lambda: Image.fromarray(np.full((4, 4), 257 * 77, np.uint16)), "tif", (77, 77, 77)),
    "bits": (lambda: Image.new("1", (4, 4), 1), "png", (255, 255, 255)),
    "tiny": (lambda: Image.new("RGB", (1, 1), (9, 8, 7)), "png", (9, 8, 7)),
    "long": (lambda: Image.new("RGB", (20_000, 2), (9, 8, 7)), "png", (9, 8, 7)),
}


@pytest.mark.parametrize("name", STRANGE)
def test_an_image_of_a_strange_kind_has_its_right_colours(tmp_path: Path, name: str) -> None:
    make, suffix, colour = STRANGE[name]
    folder(tmp_path, 4, size=(4, 4))
    make().save(tmp_path / "cat" / f"strange.{suffix}")
    dataset = zoo.load_dataset(str(tmp_path))
    assert dataset.reading
    assert dataset.reading.warnings == ()
    spec = zoo.installed().model("cnn/lenet5")[0].spec
    prepared = prepare(image_classification, dataset, fit_images(dataset, spec, zoo.Recipe(image_size=4)))
    encoded = torch.cat(
        [split.take(torch.arange(len(split)))["images"] for split in prepared.splits.values()]
    )
    mean, std = (
        torch.tensor(values).view(3, 1, 1) for values in (prepared.preprocess.mean, prepared.preprocess.std)
    )
    pixels = (encoded * std + mean) * 255
    off = (pixels - torch.tensor(colour).view(3, 1, 1)).abs().amax(dim=(1, 2, 3))
    assert float(off.min()) < 3  # what JPEG loses


def test_an_image_of_too_many_pixels_is_skipped(tmp_path: Path) -> None:
    folder(tmp_path)
    small = picture_bytes((20, 20))
    header = struct.pack(">II", 20_000, 20_000)
    chunk = b"IHDR" + header + small[24:29]
    bomb = small[:12] + chunk + struct.pack(">I", zlib.crc32(chunk)) + small[33:]
    (tmp_path / "cat" / "huge.png").write_bytes(bomb)
    (warning,) = reading_of(tmp_path).warnings
    assert warning.endswith("huge.png: it has more than 178 million pixels; make it smaller")


def picture_bytes(size: tuple[int, int]) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size).save(file, "PNG")
    return file.getvalue()


def test_an_image_of_a_hundred_million_pixels_is_read(tmp_path: Path) -> None:
    folder(tmp_path, 4)
    Image.new("1", (20_000, 5_000)).save(tmp_path / "cat" / "large.png")
    assert reading_of(tmp_path).warnings == ()


def test_a_turned_image_has_its_size_from_after_it_was_turned(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    for number in range(8):
        path = tmp_path / "ab"[number % 2] / f"{number}.jpg"
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (20, 10)).save(path, exif=exif)
    dataset = zoo.load_dataset(str(tmp_path))
    assert dataset.problem.input == zoo.ImageInput(channels=3, height=20, width=10)
    assert dataset.splits["train"]["images"][0].shape == (3, 20, 10)


def test_an_image_that_changes_before_it_is_trained_on_is_noticed(tmp_path: Path) -> None:
    dataset = zoo.load_dataset(str(folder(tmp_path / "pets")))
    picture(tmp_path / "pets" / "cat" / "0.png", shade=200)
    os.utime(tmp_path / "pets" / "cat" / "0.png", ns=(1, 1))
    with pytest.raises(zoo.DataError, match=r"0\.png' changed after it was looked at; let it be, then begin"):
        zoo.train("cnn/lenet5", dataset, output=tmp_path / "run", device="cpu")
    assert not (tmp_path / "run").exists()


# -- images for the model ---------------------------------------------------------------------


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize(
    ("size", "crop"), [((40, 28), 0.875), ((17, 61), 0.95), ((32, 32), 1.0), ((9, 9), 0.9)]
)
def test_images_are_evaluated_as_timm_does(
    tmp_path: Path, size: tuple[int, int], crop: float, interpolation: str
) -> None:
    for number in range(8):
        noisy(tmp_path / "pets" / "ab"[number % 2] / f"{number}.png", size, seed=number)
    columns = zoo.load_dataset(str(tmp_path / "pets")).splits["train"]
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    ours = zoo.ImagePreprocess(
        channels=3, height=16, width=16, mean=mean, std=std, interpolation=interpolation, crop_pct=crop
    )
    theirs = create_transform((3, 16, 16), mean=mean, std=std, interpolation=interpolation, crop_pct=crop)
    expected = [theirs(columns["images"].picture(row)) for row in range(len(columns["images"]))]
    torch.testing.assert_close(encode_images(columns, ours), torch.stack(expected), rtol=0, atol=1e-6)
    file = next((tmp_path / "pets").rglob("*.png"))
    with Image.open(file) as image:
        alone = theirs(image)
    torch.testing.assert_close(
        encode_images(read_images([str(file)], ours), ours)[0], alone, rtol=0, atol=1e-6
    )


def test_images_of_one_size_stay_whole_and_others_keep_their_proportions(tmp_path: Path) -> None:
    spec = zoo.installed().model("cnn/lenet5")[0].spec
    alike = zoo.load_dataset(str(folder(tmp_path / "alike")))
    whole = fit_images(alike, spec, zoo.Recipe())
    assert (whole.height, whole.width, whole.crop_pct) == (10, 12, 1.0)
    square = encode_images(alike.splits["test"], whole.replace(height=5, width=5))
    assert square.shape == (6, 3, 5, 5)  # 6 x 5 before the crop


def test_labels_of_a_class_weigh_by_their_number(tmp_path: Path) -> None:
    assert balanced_weights([90, 10]) == (0.555556, 5.0)
    assert balanced_weights([4, 0, 4]) == (1.0, 1.0, 1.0)


# -- bad tables -------------------------------------------------------------------------------


def write_table(path: Path, *rows: str, encoding: str = "utf-8", header: str = "text,label") -> Path:
    good = [f"t{number},{'ab'[number % 2]}" for number in range(20)]
    path.write_text("\n".join([header, *good, *rows]) + "\n", encoding=encoding)
    return path


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (",a", "skipped 1 of 21 samples: row 21: its text is empty"),
        ('"  ",a', "skipped 1 of 21 samples: row 21: its text is empty"),
        ("hello,", "skipped 1 of 21 samples: row 21: it has no label"),
        ("hello,NaN", "skipped 1 of 21 samples: row 21: it has no label"),
        ("hello,nan", "skipped 1 of 21 samples: row 21: it has no label"),
    ],
)
def test_a_row_that_lacks_something_is_skipped_and_named(tmp_path: Path, row: str, told: str) -> None:
    file = write_table(tmp_path / "t.csv", row)
    assert reading_of(file).warnings == (told,)
    assert "with --strict none may be" in refused(file, strict=True)


def test_missing_labels_of_json_and_parquet_are_the_same(tmp_path: Path) -> None:
    rows = [{"text": f"t{n}", "label": None if n == 3 else n % 2} for n in range(20)]
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    floats = [{**row, "label": None if row["label"] is None else float(row["label"])} for row in rows]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(floats), tmp_path / "t.parquet")
    for name in ("t.jsonl", "t.parquet"):
        dataset = zoo.load_dataset(str(tmp_path / name))
        assert dataset.labels == ("0", "1")  # and not 0.0
        assert dataset.reading
        assert dataset.reading.warnings == ("skipped 1 of 20 samples: row 4: it has no label",)


def test_labels_stay_as_they_are_written(tmp_path: Path) -> None:
    rows = [f"t{number},{label}" for number, label in enumerate(["01", "1", "NA", "None", "10", "2"] * 6)]
    (tmp_path / "t.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    assert set(zoo.load_dataset(str(tmp_path / "t.csv")).labels) == {"01", "1", "NA", "None", "10", "2"}
    numbers = [f"t{number},{number % 12}" for number in range(60)]
    (tmp_path / "n.csv").write_text("\n".join(["text,label", *numbers]) + "\n")
    assert zoo.load_dataset(str(tmp_path / "n.csv")).labels == tuple(map(str, range(12)))


def test_a_column_of_mixed_types_is_read_as_text(tmp_path: Path) -> None:
    rows = [{"text": 5 if n == 7 else f"t{n}", "label": n % 2 if n < 10 else str(n % 2)} for n in range(20)]
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    dataset = zoo.load_dataset(str(tmp_path / "t.jsonl"))
    assert dataset.labels == ("0", "1")
    assert "5" in {text for split in SPLITS for text in dataset.splits[split]["text"]}


def test_numbers_that_are_none_are_named(tmp_path: Path) -> None:
    rows = [f"2024-01-{day:02},{'n/a' if day == 9 else day}" for day in range(1, 31)]
    (tmp_path / "t.csv").write_text("\n".join(["date,value", *rows]) + "\n")
    told = refused(tmp_path / "t.csv", columns={"value": "value"}, task="forecasting")
    assert told == "column 'value' holds 'n/a' in row 9 where numbers are expected"


@pytest.mark.parametrize(
    ("suffix", "separator", "told"),
    [
        ("csv", ";", "its columns are parted by semicolons, not commas"),
        ("csv", "\t", "its columns are parted by tabs, not commas"),
        ("tsv", ",", "its columns are parted by commas, not tabs"),
    ],
)
def test_a_wrong_delimiter_is_found_out_and_said(
    tmp_path: Path, suffix: str, separator: str, told: str
) -> None:
    write_csv(tmp_path / f"mail.{suffix}", separator)
    dataset = zoo.load_dataset(str(tmp_path / f"mail.{suffix}"))
    assert dataset.labels == ("ham", "spam")
    assert dataset.reading
    assert told in dataset.reading.told


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "txt"])
@pytest.mark.parametrize(
    ("encoding", "told"),
    [
        ("utf-16", "read as UTF-16, since it is not UTF-8"),
        ("utf-16-le", "read as UTF-16, since it is not UTF-8"),
        ("utf-16-be", "read as UTF-16, since it is not UTF-8"),
        ("latin-1", "read as Latin-1, since it is not UTF-8"),
        ("utf-8-sig", ""),
        ("utf-8", ""),
    ],
)
def test_text_in_another_encoding_is_read_right(
    tmp_path: Path, suffix: str, encoding: str, told: str
) -> None:
    words = [f"Größe {number} à la carte" for number in range(20)]
    content = {
        "csv": "\n".join(["text,label", *(f"{word},{'ab'[n % 2]}" for n, word in enumerate(words))]),
        "jsonl": "\n".join(
            json.dumps({"text": word, "label": "ab"[n % 2]}, ensure_ascii=False)
            for n, word in enumerate(words)
        ),
        "txt": "\n".join(words),
    }[suffix]
    file = tmp_path / f"words.{suffix}"
    file.write_text(content, encoding=encoding)
    dataset = zoo.load_dataset(str(file))
    texts = [text for split in SPLITS for text in dataset.splits[split]["text"]]
    assert sorted(texts) == sorted(words) or "".join(texts) == content
    assert dataset.reading
    assert [line for line in dataset.reading.told if "UTF-8" in line] == ([told] if told else [])


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_a_line_of_ten_megabytes_is_a_text_like_others(tmp_path: Path, suffix: str) -> None:
    long = "x" * 10_000_000
    file = write_table(tmp_path / "t.csv", f"{long},a")
    if suffix == "jsonl":
        file = tmp_path / "t.jsonl"
        rows = [{"text": f"t{n}", "label": "ab"[n % 2]} for n in range(20)]
        file.write_text("".join(json.dumps(row) + "\n" for row in [*rows, {"text": long, "label": "a"}]))
    dataset = zoo.load_dataset(str(file))
    assert sum(map(dataset.size, SPLITS)) == 21
    assert dataset.problem.input == zoo.TokenInput(vocab_size=259, length=512)
    assert dataset.reading
    told = "1 texts are longer than 512 bytes (the longest 10,000,000) and, read as bytes, cut there"
    assert told in dataset.reading.told


def test_a_quoted_text_may_have_lines_and_commas(tmp_path: Path) -> None:
    file = write_table(tmp_path / "t.csv", '"one, two\nthree",a')
    dataset = zoo.load_dataset(str(file))
    assert "one, two\nthree" in {text for split in SPLITS for text in dataset.splits[split]["text"]}


def test_a_file_that_changes_while_it_is_read_is_noticed(tmp_path: Path) -> None:
    file = write_table(tmp_path / "t.csv")

    def read() -> None:
        with unchanged(file):
            file.write_text("text,label\n")

    with pytest.raises(zoo.DataError, match=r"t\.csv' changed while it was read; let it be, then begin anew"):
        read()


def test_a_file_that_may_not_be_read_is_told(tmp_path: Path) -> None:
    file = write_table(tmp_path / "t.csv")

    def read() -> None:
        with unchanged(file):
            file.unlink()

    with pytest.raises(zoo.DataError, match=r"t\.csv' cannot be read: No such file or directory"):
        read()


def test_arrays_of_python_objects_are_never_unpickled(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x=np.array([{"a": 1}], dtype=object))
    assert "holds Python objects, which are never unpickled" in refused(tmp_path / "x.npz")
    np.save(tmp_path / "x.npy", np.array([{"a": 1}], dtype=object))
    assert "holds Python objects, which are never unpickled" in refused(tmp_path / "x.npy")


def test_files_that_are_no_arrays_are_refused(tmp_path: Path) -> None:
    for name in ("y.npz", "y.npy"):
        (tmp_path / name).write_bytes(b"PK neither")
        assert "cannot be read as an a" in refused(tmp_path / name)
    np.save(tmp_path / "z.npy", np.arange(1000.0))
    (tmp_path / "z.npy").write_bytes((tmp_path / "z.npy").read_bytes()[:200])  # cut short
    assert "z.npy' cannot be read as an array: mmap length is greater" in refused(tmp_path / "z.npy")


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


# -- bad series -------------------------------------------------------------------------------


def write_series(path: Path, series: list[Any]) -> Path:
    rows = [{"series": values, "label": "ab"[number % 2]} for number, values in enumerate(series)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_series_of_unequal_length_are_padded_after_they_are_standardised(tmp_path: Path) -> None:
    lengths = [5 + number for number in range(12)]
    series = [[float(step) for step in range(length)] for length in lengths]
    dataset = zoo.load_dataset(str(write_series(tmp_path / "s.jsonl", series)))
    assert dataset.problem.input == zoo.SeriesInput(channels=1, length=16)
    assert dataset.reading
    assert "series of 5 to 16 steps; the shorter ones are padded at their end" in dataset.reading.told
    preprocess = fit_series(dataset, zoo.Recipe(normalize="sample"))
    for columns in dataset.splits.values():
        encoded = encode_series(np.asarray(columns["series"]), preprocess)  # [N, T, C]
        for raw, row in zip(np.asarray(columns["series"]), encoded, strict=True):
            length = int((~np.isnan(raw)).sum())
            assert float(row[:length].mean()) == pytest.approx(0, abs=1e-6)
            assert float(row[:length].std(correction=0)) == pytest.approx(1, abs=1e-5)
            assert (row[length:] == 0).all()
    trained = fit_series(dataset, zoo.Recipe(normalize="train"))
    values = np.asarray(dataset.splits["train"]["series"])
    assert trained.mean[0] == pytest.approx(np.nanmean(values), rel=1e-6)


def test_gaps_in_a_series_are_filled_and_a_series_of_gaps_is_skipped(tmp_path: Path) -> None:
    series: list[Any] = [[1.0, None, 3.0, 4.0] for _ in range(10)] + [[None] * 4, [None, 2.0, 3.0, None]]
    dataset = zoo.load_dataset(str(write_series(tmp_path / "s.jsonl", series)))
    found = {tuple(values[:, 0]) for columns in dataset.splits.values() for values in columns["series"]}
    assert found == {(1.0, 2.0, 3.0, 4.0), (2.0, 2.0, 3.0, 3.0)}
    assert dataset.reading
    assert (
        "11 series have gaps, which were filled on the line between their neighbours" in dataset.reading.told
    )
    assert dataset.reading.warnings == (
        "skipped 1 of 12 samples: row 11: it holds no numbers, or none in one of its channels",
    )


def test_an_array_of_series_ends_where_every_channel_does(tmp_path: Path) -> None:
    values = np.arange(12 * 6 * 2, dtype=np.float64).reshape(12, 6, 2)
    values[0, 4:] = np.nan  # two steps shorter
    values[1, 5, 0] = np.nan  # a gap in one channel
    np.savez(tmp_path / "s.npz", x=values, y=np.arange(12) % 2)
    dataset = zoo.load_dataset(str(tmp_path / "s.npz"))
    found = {tuple(series[:, 1]): series for part in dataset.splits.values() for series in part["series"]}
    short = next(series for key, series in found.items() if key[0] == 1.0)
    assert np.isnan(short[4:]).all()
    assert np.isfinite(short[:4]).all()
    gap = next(series for key, series in found.items() if key[0] == 13.0)
    assert gap[5].tolist() == [20.0, 23.0]  # the last value again, and the one that is known


def test_constant_series_are_standardised_to_zero(tmp_path: Path) -> None:
    dataset = zoo.load_dataset(str(write_series(tmp_path / "s.jsonl", [[3.0] * 8] * 12)))
    preprocess = fit_series(dataset, zoo.Recipe(normalize="sample"))
    assert not encode_series(np.asarray(dataset.splits["train"]["series"]), preprocess).any()


def test_series_of_other_shapes_are_refused(tmp_path: Path) -> None:
    uneven = [[[1.0, 2.0], [3.0, 4.0]]] * 6 + [[[1.0], [2.0]]] * 6
    assert "series of [1, 2] channels; give all as many" in refused(
        write_series(tmp_path / "a.jsonl", uneven)
    )
    words = [[1.0, 2.0]] * 11 + [["a", "b"]]
    told = refused(write_series(tmp_path / "b.jsonl", words))
    assert told == "column 'series' holds no list of numbers in row 12"


def write_walk(path: Path, count: int = 60, value: Callable[[int], Any] = lambda step: step % 7) -> Path:
    rows = [f"{step},{value(step)},{step % 5}" for step in range(count)]
    path.write_text("\n".join(["time,first,second", *rows]) + "\n")
    return path


def test_gaps_in_a_forecast_are_filled_and_a_still_channel_is_named(tmp_path: Path) -> None:
    gaps = zoo.load_dataset(str(write_walk(tmp_path / "a.csv", value=lambda n: "" if n == 3 else n)))
    assert np.asarray(gaps.splits["train"]["series"])[:6, 0].tolist() == [0, 1, 2, 3, 4, 5]
    assert gaps.reading
    assert "1 steps have gaps, which were filled on the line between their neighbours" in gaps.reading.told
    still = write_walk(tmp_path / "b.csv", value=lambda _: 3)
    assert reading_of(still).warnings == ("1 of 2 channels never change while training, such as 'first'",)
    run = zoo.train("cnn/tcn", str(still), output=tmp_path / "run", settings={"steps": 1}, device="cpu")
    assert np.isfinite(list(run.metrics.values())).all()


def test_series_with_nothing_to_forecast_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "still.npy", np.ones(100))
    assert "never changes while it trains; there is nothing to forecast" in refused(tmp_path / "still.npy")
    assert "holds 12 time steps; at least 20 are needed" in refused(write_walk(tmp_path / "short.csv", 12))
    twice = write_walk(tmp_path / "twice.csv")
    twice.write_text(twice.read_text() + "59,1,1\n")
    assert "has a time twice in 'time'; where it holds several series" in refused(twice)
    dates = tmp_path / "dates.csv"
    dates.write_text("date,value\n" + "".join(f"3rd of May {n},{n}\n" for n in range(30)))
    assert "holds '3rd of May 0', which is neither a number nor a date" in refused(dates)


def test_rows_out_of_order_are_put_in_time(tmp_path: Path) -> None:
    file = write_walk(tmp_path / "a.csv")
    header, *rows = file.read_text().splitlines()
    file.write_text("\n".join([header, *reversed(rows)]) + "\n")
    dataset = zoo.load_dataset(str(file))
    assert np.asarray(dataset.splits["train"]["series"])[:5, 1].tolist() == [0, 1, 2, 3, 4]
    assert dataset.reading
    assert "rows were put in the order of 'time'" in dataset.reading.told


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
