"""The user's own data: folders of images, tables of texts, how they are split, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import zoo
from zoo.data.dataset import SPLITS, Dataset
from zoo.data.load import match_labels
from zoo.data.sample import write_sample
from zoo.data.splits import TensorSplit, WindowSplit, batched, epoch_rows, in_order
from zoo.data.splitting import SHARES, split_rows, stratified
from zoo.registry import Registry


def picture(path: Path, size: tuple[int, int] = (12, 10), mode: str = "RGB", shade: int = 90) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, shade if mode == "L" else (shade, 0, 0)).save(path)


def folder(root: Path, per_class: int = 20, **options: Any) -> Path:
    for name in ("cat", "dog"):
        for number in range(per_class):
            picture(root / name / f"{number}.png", **options)
    return root


def refused(source: Path | str) -> str:
    """What `load_dataset` says of it, in one line."""
    with pytest.raises(zoo.DataError) as caught:
        zoo.load_dataset(str(source))
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
    assert dataset.splits["train"]["images"].shape == (28, 3, 10, 12)
    assert (dataset.splits["train"]["images"][:, 0] == 90).all()


@pytest.mark.parametrize("validation", ["validation", "val", "valid"])
def test_given_splits_are_kept(tmp_path: Path, validation: str) -> None:
    for split, count in (("train", 5), (validation, 3), ("test", 2)):
        folder(tmp_path / split, count)
    dataset = zoo.load_dataset(str(tmp_path))
    assert [dataset.size(split) for split in SPLITS] == [10, 6, 4]
    assert dataset.splits["test"]["labels"].tolist() == [0, 0, 1, 1]


def test_a_missing_split_is_named(tmp_path: Path) -> None:
    folder(tmp_path / "train", 5)
    folder(tmp_path / "test", 5)
    assert "has test and train, but no validation" in refused(tmp_path)


def test_grey_images_have_one_channel_and_mixed_ones_three(tmp_path: Path) -> None:
    grey = zoo.load_dataset(str(folder(tmp_path / "grey", 3, mode="L")))
    assert grey.splits["train"]["images"].shape[1] == 1
    folder(tmp_path / "mixed", 3, mode="L")
    picture(tmp_path / "mixed" / "cat" / "red.png")
    assert zoo.load_dataset(str(tmp_path / "mixed")).splits["train"]["images"].shape[1] == 3


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
    assert "holds no class folders of images" in refused(tmp_path)


def test_loose_images_without_classes_are_refused(tmp_path: Path) -> None:
    picture(tmp_path / "1.png")
    assert "expected" in refused(tmp_path)


def test_a_single_class_is_refused(tmp_path: Path) -> None:
    picture(tmp_path / "cat" / "1.png")
    assert "single class, 'cat'" in refused(tmp_path)


def test_a_text_that_says_it_is_an_image_is_refused(tmp_path: Path) -> None:
    folder(tmp_path, 2)
    (tmp_path / "cat" / "notes.jpg").write_text("buy milk")
    assert "notes.jpg' cannot be read as an image" in refused(tmp_path)


def test_an_image_that_was_cut_short_is_refused(tmp_path: Path) -> None:
    folder(tmp_path, 2)
    rng = np.random.default_rng(0)
    file = tmp_path / "cat" / "half.png"
    Image.fromarray(rng.integers(256, size=(64, 64, 3)).astype(np.uint8)).save(file)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    assert "half.png' cannot be read as an image" in refused(tmp_path)


def test_other_files_among_images_are_passed_over(tmp_path: Path) -> None:
    folder(tmp_path, 3)
    (tmp_path / "cat" / "Thumbs.db").write_bytes(b"\0")
    (tmp_path / "README.md").write_text("pets")
    assert sum(map(zoo.load_dataset(str(tmp_path)).size, SPLITS)) == 6


def test_too_few_images_to_split_are_refused(tmp_path: Path) -> None:
    assert "its validation split is too small for a single sample" in refused(folder(tmp_path, 2))


# -- tables -----------------------------------------------------------------------------------

ROWS = [(f"a text, number {number}", "spam" if number % 2 else "ham") for number in range(20)]


def write_csv(path: Path, separator: str = ",") -> None:
    lines = [f'"{text}"{separator}{label}' for text, label in ROWS]
    path.write_text("\n".join([f"text{separator}label", *lines]) + "\n")


def write_jsonl(path: Path) -> None:
    path.write_text("".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in ROWS))


def write_parquet(path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

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
    "empty.csv": ("", "cannot be read as csv"),
    "header.csv": ("text,label\n", "holds no rows"),
    "one.csv": ("text,label\n" + "hello,spam\n" * 9, "single class, 'spam'"),
    "gap.csv": ("text,label\nhello,spam\nbye,\nwell,ham\n", "no label in 1 rows, the first of them row 2"),
    "blank.jsonl": (
        '{"text": "a", "label": "x"}\n{"text": "", "label": "y"}\n',
        "no text in 1 rows, the first of them row 2",
    ),
    "columns.csv": ("review,stars\nfine,5\n", "has the columns review, stars; expected text and label"),
    "broken.jsonl": ('{"text": "a", "lab', "cannot be read as json"),
    "fake.parquet": ("not parquet at all", "cannot be read as parquet"),
    "table.xlsx": ("", "is of no known format; known: .csv"),
    "few.csv": ("text,label\na,x\nb,y\n", "its validation split is too small"),
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
