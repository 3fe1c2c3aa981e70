"""What is made of images once and kept: found again, whole or not at all, within a bound; batches from it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from toys import run as run_command

import zoo
from zoo.data import cache, images
from zoo.data.batches import batches
from zoo.data.dataset import SPLITS
from zoo.data.frames import COSTLY, Frames, decoded, frames_of, resize_and_crop
from zoo.data.looks import MANY
from zoo.data.splits import PixelSplit, Split
from zoo.tasks.base import prepare
from zoo.tasks.classification import image_classification
from zoo.tasks.images import FEW, encode_images, mean_and_std
from zoo.training.callbacks import Callback
from zoo.training.loop import Step

COUNT, WIDTH, HEIGHT = 112, 480, 400
SHAPE = zoo.ImagePreprocess(channels=3, height=48, width=64, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4))
LONG_AGO = 1_700_000_000 * 10**9
FRAMES = """
import sys, time
import zoo
from zoo.data import images
from zoo.data.frames import frames_of

dataset = zoo.load_dataset(sys.argv[1])
shape = zoo.ImagePreprocess(channels=3, height=48, width=64)
decoded, decode = [], images.decode

def slowly(*arguments, **options):
    decoded.append(1)
    time.sleep(float(sys.argv[2]))
    return decode(*arguments, **options)

images.decode = slowly
print("begins", flush=True)
frames = frames_of(dataset.splits["train"]["images"], shape)
print(len(decoded), frames.mapped, int(frames.pixels[frames.rows].sum()))
"""


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs of two classes, dark and light, that take long enough to decode to be kept."""
    assert COUNT > MANY
    assert COUNT * WIDTH * HEIGHT > COSTLY
    root, rng = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for number in range(COUNT):
        low = 100 * (number % 2)
        coarse = Image.fromarray(rng.integers(low, low + 156, size=(10, 12, 3), dtype=np.uint8))
        path = root / ("dark", "light")[number % 2] / f"{number:03}.jpg"
        path.parent.mkdir(exist_ok=True)
        coarse.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC).save(path, quality=80)
        os.utime(path, ns=(LONG_AGO, LONG_AGO))
    return root


@pytest.fixture
def photos(originals: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(originals, tmp_path / "photos"))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "zoo-home"


def prepared(source: Path, shape: zoo.ImagePreprocess = SHAPE) -> dict[str, Split]:
    return dict(prepare(image_classification, zoo.load_dataset(str(source)), shape).splits)


def pixels_of(splits: dict[str, Split]) -> dict[str, torch.Tensor]:
    return {name: split.take(torch.arange(len(split)))["images"] for name, split in splits.items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


def ruin(path: Path) -> None:
    """Another content, in a file that looks as it did."""
    size = path.stat().st_size
    path.write_bytes(b"\0" * size)
    os.utime(path, ns=(LONG_AGO, LONG_AGO))


def start(source: Path, home: Path, seconds: float = 0.0, **options: Any) -> subprocess.Popen[str]:
    """A process that makes the frames of a folder, and takes so long for each image."""
    return subprocess.Popen(
        (sys.executable, "-c", FRAMES, str(source), str(seconds)),
        env={**os.environ, "ZOO_HOME": str(home), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def wait_for(there: Callable[[], bool]) -> None:
    for _ in range(6000):
        if there():
            return
        time.sleep(0.01)
    raise TimeoutError


# -- made once --------------------------------------------------------------------------------


def test_the_second_use_reads_no_image(photos: Path) -> None:
    first = prepared(photos)
    assert all(isinstance(split, PixelSplit) and split.frames.mapped for split in first.values())
    expected = {name: images.clone() for name, images in pixels_of(first).items()}
    for path in photos.rglob("*.jpg"):
        ruin(path)
    assert same(pixels_of(prepared(photos)), expected)
    assert sorted(entry.path.parent.name for entry in cache.entries()) == ["images", "looks"]


def test_another_split_of_the_same_images_is_made_of_the_same_file(photos: Path) -> None:
    for seed in (0, 1):
        dataset = zoo.load_dataset(str(photos), seed=seed)
        columns = dataset.splits["test"]
        frames = frames_of(columns["images"], SHAPE)
        alone = np.stack(list(decoded(columns["images"], SHAPE)))
        assert np.array_equal(frames.pixels[frames.rows].numpy(), alone)
    assert len([entry for entry in cache.entries() if entry.path.parent.name == "images"]) == 1


@pytest.mark.parametrize("change", ["content", "name", "size"])
def test_what_changed_is_made_anew(photos: Path, change: str) -> None:
    before = pixels_of(prepared(photos))
    path = photos / "dark" / "000.jpg"
    if change == "content":
        Image.new("RGB", (WIDTH, HEIGHT), (255, 0, 0)).save(path)
        os.utime(path, ns=(LONG_AGO + 10**9,) * 2)
        after = pixels_of(prepared(photos))
        differ = sum(int((one != after[name]).any(dim=(1, 2, 3)).sum()) for name, one in before.items())
        assert differ == 1
        red = torch.tensor([254 / 255, 0.0, 0.0])  # as JPEG has it
        red = (red - torch.tensor(SHAPE.mean)) / torch.tensor(SHAPE.std)
        everything = torch.cat(list(after.values()))
        assert ((everything.mean(dim=(2, 3)) - red).abs() < 0.02).all(dim=1).sum() == 1
    elif change == "name":  # the same images in the same order
        path.rename(path.with_name("0000.jpg"))
        assert same(pixels_of(prepared(photos)), before)
    else:
        small = prepared(photos, SHAPE.replace(height=24, width=24))
        assert pixels_of(small)["test"].shape[2:] == (24, 24)
    kinds = [entry.path.parent.name for entry in cache.entries()]
    expected = {"content": (2, 2), "name": (1, 2), "size": (2, 1)}[change]
    assert (kinds.count("images"), kinds.count("looks")) == expected


def test_what_was_changed_a_moment_ago_is_not_remembered(photos: Path) -> None:
    (photos / "dark" / "000.jpg").touch()
    prepared(photos)
    assert [entry.path.parent.name for entry in cache.entries()] == ["images"]


def test_a_few_images_are_not_kept(photos: Path, home: Path) -> None:
    for path in sorted(photos.rglob("*.jpg"))[20:-20]:
        path.unlink()
    splits = prepared(photos)
    assert not any(isinstance(split, PixelSplit) for split in splits.values())
    assert cache.entries() == []


def test_a_truncated_image_is_skipped_and_named_each_time(photos: Path) -> None:
    path = photos / "light" / "001.jpg"
    path.write_bytes(path.read_bytes()[:3000])
    os.utime(path, ns=(LONG_AGO, LONG_AGO))
    for _ in range(2):  # looked at, then remembered
        dataset = zoo.load_dataset(str(photos))
        assert dataset.reading
        (warning,) = dataset.reading.warnings
        assert warning.startswith(f"skipped 1 of {COUNT} samples: {path}: image file is truncated")
        splits = prepare(image_classification, dataset, SHAPE).splits
        assert sum(map(len, splits.values())) == COUNT - 1
        for split in SPLITS:  # the images beyond the one that is missing keep their labels
            batch = splits[split].take(torch.arange(len(splits[split])))
            assert torch.equal(batch["images"].mean(dim=(1, 2, 3)) > 0.25, batch["labels"] == 1)


def test_an_image_that_changes_while_it_is_read_is_noticed_and_nothing_is_kept(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset, read = zoo.load_dataset(str(photos)), images.decode

    def decode(cell: Any, *arguments: Any, **options: Any) -> Image.Image:
        image = read(cell, *arguments, **options)
        if cell.name == "050.jpg":  # written to by another program just now
            os.utime(cell)
        return image

    monkeypatch.setattr(images, "decode", decode)
    with pytest.raises(zoo.DataError, match=r"050\.jpg' changed after it was looked at; let it be"):
        prepare(image_classification, dataset, SHAPE)
    assert [entry.path.parent.name for entry in cache.entries()] == ["looks"]


@pytest.mark.parametrize("fate", ["removed", "ruined"])
def test_an_image_that_is_gone_before_it_is_decoded_is_named(photos: Path, fate: str) -> None:
    dataset = zoo.load_dataset(str(photos))
    path = photos / "light" / "051.jpg"
    path.unlink()
    if fate == "ruined":
        path.write_text("no image")
    with pytest.raises(zoo.DataError, match=r"051\.jpg' changed after it was looked at; let it be"):
        prepare(image_classification, dataset, SHAPE)
    assert [entry.path.parent.name for entry in cache.entries()] == ["looks"]


def test_a_damaged_file_is_one_line(photos: Path, home: Path) -> None:
    prepared(photos)
    (folder,) = (home / "images").iterdir()
    os.truncate(folder / "pixels.bin", 10)
    with pytest.raises(zoo.DataError) as caught:
        prepared(photos)
    assert str(caught.value).startswith(f"{str(folder)!r} is damaged")
    assert str(caught.value).endswith("remove it, then begin anew")


def test_arrays_that_grow_are_kept_too(home: Path) -> None:
    small = np.random.default_rng(0).integers(256, size=(300, 1, 8, 8), dtype=np.uint8)
    shape = zoo.ImagePreprocess(channels=3, height=320, width=320)
    for _ in range(2):
        frames = frames_of(small, shape)
        assert (frames.mapped, tuple(frames.pixels.shape)) == (True, (300, 3, 320, 320))
    alone = resize_and_crop(torch.from_numpy(small[17]).expand(3, -1, -1), shape)
    assert torch.equal(frames.pixels[17], alone)
    assert len(list((home / "images").iterdir())) == 1


# -- whole or not at all ----------------------------------------------------------------------


def test_a_process_killed_while_it_makes_them_leaves_nothing_that_is_taken_for_whole(
    photos: Path, home: Path
) -> None:
    killed = start(photos, home, 0.05)
    wait_for(lambda: any(home.glob("images/.partial-*/pixels.bin")))
    killed.kill()
    assert killed.wait() == -signal.SIGKILL
    killed.communicate()
    (partial,) = (home / "images").iterdir()
    assert partial.name.startswith(".partial-")
    expected = np.stack(list(decoded(zoo.load_dataset(str(photos)).splits["test"]["images"], SHAPE)))
    frames = frames_of(zoo.load_dataset(str(photos)).splits["test"]["images"], SHAPE)
    assert np.array_equal(frames.pixels[frames.rows].numpy(), expected)
    assert [path.name for path in (home / "images").iterdir()] == [partial.name.removeprefix(".partial-")]


def test_two_processes_at_once_make_them_once(photos: Path, home: Path) -> None:
    both = [start(photos, home, 0.01) for _ in range(2)]
    done = [process.communicate() for process in both]
    assert [process.returncode for process in both] == [0, 0], done
    told = [out.splitlines()[1].split() for out, _ in done]
    assert sorted(int(number) for number, _, _ in told) == [0, COUNT]
    assert {(mapped, total) for _, mapped, total in told} == {("True", told[0][2])}


@pytest.mark.skipif(sys.platform == "win32", reason="limits of processes")
def test_no_room_is_told_and_they_stay_in_memory(photos: Path, home: Path) -> None:
    import resource

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    out, err = start(photos, home, preexec_fn=limit).communicate()
    frames = frames_of(zoo.load_dataset(str(photos)).splits["train"]["images"], SHAPE)
    train = len(frames.rows)
    assert out.splitlines()[1:] == [f"{train} False {int(frames.pixels[frames.rows].sum())}"], err
    assert err == (
        f"zoo: the resized images, 1.0 MB, cannot be kept in {str(home / 'images')!r}: File too large; "
        "they stay in memory, and will be made anew next time\n"
    )


def test_no_room_in_memory_either_is_one_line_before_anything_is_made(home: Path) -> None:
    many = np.broadcast_to(np.zeros((1, 1, 8, 8), np.uint8), (400_000, 1, 8, 8))
    with pytest.raises(zoo.DataError) as caught:
        frames_of(many, zoo.ImagePreprocess(channels=3, height=8192, width=8192))
    told = str(caught.value)
    assert told.startswith(
        f"the resized images, 80.5 TB, cannot be kept in {str(home / 'images')!r}: No space"
    )
    assert told.endswith("of free memory; make room there, or set ZOO_HOME to another folder")
    assert cache.entries() == []
    assert not list((home / "images").iterdir())


def test_a_home_that_cannot_be_written_is_no_hindrance(photos: Path, home: Path) -> None:
    home.write_text("a file where the folder should be")
    splits = prepared(photos)
    assert sum(map(len, splits.values())) == COUNT
    for split in splits.values():
        assert not isinstance(split, PixelSplit) or not split.frames.mapped


# -- the same as they would be without --------------------------------------------------------


def test_a_large_jpeg_is_decoded_smaller_and_looks_the_same(photos: Path) -> None:
    columns = zoo.load_dataset(str(photos)).splits["train"]["images"]
    assert isinstance(columns, images.Images)
    assert columns.picture(0).size == (WIDTH, HEIGHT)
    assert columns.picture(0, least=128).size == (240, 200)
    assert columns.picture(0, least=201).size == (WIDTH, HEIGHT)
    frames = frames_of(columns, SHAPE)
    exact = np.stack(
        [np.asarray(resize_and_crop(columns.picture(row), SHAPE)) for row in range(len(columns))]
    )
    differ = np.abs(frames.pixels[frames.rows].numpy() - exact.transpose(0, 3, 1, 2).astype(float))
    assert differ.mean() < 0.5  # levels of 255
    assert differ.max() <= 4


def test_a_turned_jpeg_is_decoded_smaller_all_the_same(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    Image.new("RGB", (800, 400)).save(tmp_path / "turned.jpg", exif=exif)
    assert images.decode(tmp_path / "turned.jpg", 3, least=100).size == (100, 200)
    assert images.decode(tmp_path / "turned.jpg", 3).size == (400, 800)


def test_a_model_sees_the_same_in_training_and_in_prediction(photos: Path, tmp_path: Path) -> None:
    dataset = zoo.load_dataset(str(photos))
    run = zoo.train(
        "cnn/lenet5",
        dataset,
        output=tmp_path / "run",
        settings={"image_size": 32, "steps": 12, "batch_size": 16},
        device="cpu",
    )
    test = dataset.splits["test"]
    assert isinstance(test["images"], images.Images)
    files = [str(test["images"].cells[row]) for row in test["images"].rows]
    found = zoo.predict(run.path, files)
    right = [
        record["label"] == dataset.labels[label] for record, label in zip(found, test["labels"], strict=True)
    ]
    assert np.mean(right) == pytest.approx(run.metrics["accuracy"])
    shape = zoo.load(run.path).zoo.preprocess
    split = encode_images(test, shape)
    assert isinstance(split, PixelSplit)
    (batch,) = image_classification.read(files, shape, 100)
    assert torch.equal(split.take(torch.arange(len(files)))["images"], batch["images"])


class _Stop(Callback):
    def step(self, step: Step) -> None:
        if step.number == 5:
            raise KeyboardInterrupt


def test_a_run_on_a_mapped_file_goes_on_as_if_it_had_not_stopped(photos: Path, tmp_path: Path) -> None:
    settings = {"image_size": 32, "epochs": 3, "batch_size": 16, "flip": True, "affine": (10, 0.1, 0.1)}
    dataset = zoo.load_dataset(str(photos))
    whole = zoo.train("cnn/lenet5", dataset, output=tmp_path / "whole", settings=settings, device="cpu")
    with pytest.raises(KeyboardInterrupt):
        zoo.train(
            "cnn/lenet5",
            dataset,
            output=tmp_path / "parts",
            settings=settings,
            device="cpu",
            callbacks=[_Stop()],
        )
    parts = zoo.resume(tmp_path / "parts", data=dataset, device="cpu")
    one, other = (load_file(run.path / "model.safetensors") for run in (whole, parts))
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert whole.metrics == parts.metrics


def test_mean_and_deviation_are_those_of_all_pixels() -> None:
    pixels = np.random.default_rng(0).integers(256, size=(70, 3, 200, 130), dtype=np.uint8)
    rows = np.arange(0, 70, 2)
    mean, std = mean_and_std(pixels, rows)
    values = pixels[rows] / 255
    assert mean == pytest.approx(values.mean(axis=(0, 2, 3)), abs=1e-9)
    assert std == pytest.approx(values.std(axis=(0, 2, 3)), abs=1e-9)


# -- batches ----------------------------------------------------------------------------------


def of_bytes(count: int = 50, *, mapped: bool, rows: torch.Tensor | None = None) -> PixelSplit:
    pixels = torch.randint(256, (count, 3, 20, 30), dtype=torch.uint8)
    rows = torch.arange(count) if rows is None else rows
    mean, std = (torch.tensor(values)[:, None, None] for values in (SHAPE.mean, SHAPE.std))
    return PixelSplit(
        frames=Frames(pixels=pixels, rows=rows, mapped=mapped),
        mean=mean,
        std=std,
        columns={"labels": torch.arange(len(rows))},
    )


@pytest.mark.parametrize("mapped", [False, True])
def test_bytes_become_what_they_would_have_been_from_the_start(mapped: bool) -> None:
    split = of_bytes(mapped=mapped, rows=torch.arange(0, 50, 2))
    expected = (split.frames.pixels.float() / 255 - split.mean) / split.std
    rows = [torch.tensor([7, 3, 24]), torch.tensor([0]), torch.tensor([1, 2, 3, 4]), torch.tensor([24])]
    for chosen, batch in zip(rows, batches(split, rows, torch.device("cpu")), strict=True):
        assert torch.equal(batch["images"], expected[::2][chosen])
        assert torch.equal(batch["labels"], chosen)


def test_large_batches_are_calculated_in_parts_that_make_a_whole() -> None:
    split = of_bytes(900, mapped=False)  # more than a million numbers
    rows = torch.randperm(900)
    expected = (split.frames.pixels[rows].float() / 255 - split.mean) / split.std
    assert torch.equal(split.take(rows)["images"], expected)


def test_many_images_in_memory_stay_bytes() -> None:
    side = 64
    many = np.random.default_rng(0).integers(256, size=(FEW // side**2 + 1, 1, side, side), dtype=np.uint8)
    shape = zoo.ImagePreprocess(channels=3, height=side, width=side, mean=(0.5,), std=(0.25,))
    split = encode_images({"images": many}, shape)
    assert isinstance(split, PixelSplit)
    assert np.shares_memory(split.frames.pixels.numpy(), many)
    few = encode_images({"images": many[:5]}, shape)
    assert isinstance(few, torch.Tensor)
    assert torch.equal(split.take(torch.arange(5))["images"], few)


def test_a_thread_that_fetches_ends_with_who_takes() -> None:
    before = threading.active_count()
    taking = batches(of_bytes(mapped=True), torch.split(torch.arange(50), 5), torch.device("cpu"))
    assert len(next(taking)["images"]) == 5
    assert threading.active_count() == before + 1
    taking.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


def test_a_fault_of_the_fetching_thread_comes_out() -> None:
    rows = [torch.tensor([1]), torch.tensor([50]), torch.tensor([2])]
    with pytest.raises((IndexError, RuntimeError)):
        list(batches(of_bytes(mapped=True), rows, torch.device("cpu")))


def test_results_in_turn_are_in_order_and_a_fault_stops_the_rest() -> None:
    assert list(images.in_turn(lambda number: number * number, range(200))) == [n * n for n in range(200)]
    begun: list[int] = []

    def work(number: int) -> int:
        begun.append(number)
        if number == 3:
            raise zoo.DataError("no good")
        return number

    with pytest.raises(zoo.DataError, match="no good"):
        list(images.in_turn(work, range(10_000)))
    assert len(begun) < 5000


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_images_that_fit_are_kept_on_the_gpu_and_others_are_sent_to_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cuda, split = torch.device("cuda"), of_bytes(mapped=True)
    kept = split.to(cuda)
    assert kept.resident
    monkeypatch.setattr("zoo.data.frames.FREE_SHARE", 0.0)
    sent = split.to(cuda)
    assert sent.frames.pixels.device.type == "cpu"
    rows = torch.split(torch.randperm(50), 7)
    expected = [split.take(chosen)["images"] for chosen in rows]
    for there in (kept, sent):
        for wanted, batch in zip(expected, batches(there, rows, cuda), strict=True):
            torch.testing.assert_close(batch["images"].cpu(), wanted)


# -- the end of what is kept ------------------------------------------------------------------


def put(key: str, size: int) -> Path:
    return cache.keep("images", key, lambda folder: (folder / "pixels.bin").write_bytes(bytes(size)))


def keys() -> list[str]:
    return [entry.path.name for entry in cache.entries()]


def aged(key: str, seconds: float) -> None:
    os.utime(cache.settings.home() / "images" / key, (time.time() - seconds,) * 2)


def test_what_was_not_used_for_the_longest_time_goes_above_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_CACHE_SIZE", "2500B")
    for key, age in (("a", 300), ("b", 200)):
        put(key, 1000)
        aged(key, age)
    put("a", 1000)  # used again
    put("c", 1000)
    assert keys() == ["a", "c"]
    put("d", 9000)  # larger than the bound: the last one stays, so that it can be used
    assert keys() == ["d"]


def test_room_is_made_before_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_CACHE_SIZE", "2500B")
    put("a", 2000)
    seen: list[list[str]] = []
    cache.keep("images", "b", lambda folder: seen.append(keys()), size=1000)
    assert seen == [[]]


def test_a_bound_that_is_no_size_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_CACHE_SIZE", "much")
    with pytest.raises(zoo.ZooError, match=r"^ZOO_CACHE_SIZE='much' is not a size, such as 20GB$"):
        put("a", 1)


def test_what_is_kept_can_be_removed(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    for key, age in (("a", 300), ("b", 200), ("c", 100)):
        put(key, 1000)
        aged(key, age)
    (home / "images" / ".partial-killed").mkdir()
    status, out, err = run_command(capsys, "data", "gc", "--keep", "1500B")
    assert (status, out) == (0, f"removed 2 (2.0 kB); 1 (1.0 kB) stay in {home}\n"), err
    assert [path.name for path in (home / "images").iterdir()] == ["c"]
    status, out, err = run_command(capsys, "data", "gc")
    assert (status, out) == (0, f"removed 1 (1.0 kB); 0 (0 B) stay in {home}\n"), err
    assert not list((home / "images").iterdir())


def test_removing_what_is_in_use_harms_nobody(photos: Path) -> None:
    splits = prepared(photos)
    expected = {name: images.clone() for name, images in pixels_of(splits).items()}
    cache.trim(0)
    assert cache.entries() == []
    assert same(pixels_of(splits), expected)


def test_a_fault_while_it_is_made_leaves_nothing(home: Path) -> None:
    def write(folder: Path) -> None:
        (folder / "half").write_bytes(b"half")
        raise zoo.DataError("no good")

    with pytest.raises(zoo.DataError, match="no good"):
        cache.keep("images", "a", write)
    assert list((home / "images").iterdir()) == []
    assert put("a", 3).name == "a"
