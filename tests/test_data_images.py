"""Folders of images: how they are read, which are refused, and what a model sees of them."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datafiles import folder, noisy, picture, reading_of, refused
from PIL import Image
from timm.data import create_transform

import zoo
from zoo.data.dataset import SPLITS
from zoo.tasks.base import prepare
from zoo.tasks.classification import image_classification
from zoo.tasks.images import encode_images, fit_images, read_images

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


# -- bad images -------------------------------------------------------------------------------


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


def broken_inside(content: bytes) -> bytes:
    """A JPEG with a marker inside of its scan that no decoder knows; its end is where it was."""
    middle = content.index(b"\xff\xda") + 600
    return content[:middle] + b"\xff\x02" + content[middle + 2 :]


def wrong_table(content: bytes) -> bytes:
    """A JPEG whose first Huffman table has more codes than there can be."""
    table = content.index(b"\xff\xc4") + 5
    return content[:table] + b"\xff" * 4 + content[table + 4 :]


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("damage", [broken_inside, wrong_table])
def test_a_jpeg_that_is_broken_before_its_end_is_skipped_counted_and_named(
    tmp_path: Path, damage: Callable[[bytes], bytes], progressive: bool
) -> None:
    for number in range(120):
        noisy(tmp_path / "pets" / "ab"[number % 2] / f"{number}.jpg", (64, 64), seed=number)
    broken = tmp_path / "pets" / "a" / "broken.jpg"
    with Image.open(tmp_path / "pets" / "a" / "0.jpg") as image:
        image.save(broken, progressive=progressive)
    assert reading_of(tmp_path / "pets").warnings == ()
    broken.write_bytes(damage(broken.read_bytes()))
    told = f"{broken}: broken data stream when reading image file"
    assert refused(tmp_path / "pets", strict=True).endswith(f"({told}); with --strict none may be")
    dataset = zoo.load_dataset(str(tmp_path / "pets"))
    assert dataset.reading
    assert dataset.reading.warnings == (f"skipped 1 of 121 samples: {told}",)
    assert zoo.inspect(dataset).findings["unusable"].count == 1
    shape = zoo.ImagePreprocess(channels=3, height=16, width=16)
    assert len(encode_images(dataset.splits["train"], shape)) == 84


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
    level = 1.01 / 255 / min(std) if interpolation == "bilinear" else 1e-6  # rounded by torch, not by PIL
    torch.testing.assert_close(encode_images(columns, ours), torch.stack(expected), rtol=0, atol=level)
    file = next((tmp_path / "pets").rglob("*.png"))
    with Image.open(file) as image:
        alone = theirs(image)
    torch.testing.assert_close(
        encode_images(read_images([str(file)], ours), ours)[0], alone, rtol=0, atol=level
    )


def test_images_of_one_size_stay_whole_and_others_keep_their_proportions(tmp_path: Path) -> None:
    spec = zoo.installed().model("cnn/lenet5")[0].spec
    alike = zoo.load_dataset(str(folder(tmp_path / "alike")))
    whole = fit_images(alike, spec, zoo.Recipe())
    assert (whole.height, whole.width, whole.crop_pct) == (10, 12, 1.0)
    square = encode_images(alike.splits["test"], whole.replace(height=5, width=5))
    assert square.shape == (6, 3, 5, 5)  # 6 x 5 before the crop
