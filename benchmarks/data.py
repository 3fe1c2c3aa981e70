"""How fast samples come to the model: images in files against timm and torchvision, small ones against torch.

    python benchmarks/data.py [--smoke] [--images N] [--workers N] [--runs N]

Images: JPEGs of 400 x 300 pixels in class folders, made of seeded noise, coarse and fine, so that they take
as many bytes as photographs do, come as normalised batches of 64, at 224 x 224, resized and cropped around
the middle, half of them mirrored. Each way has the same files, as many workers and threads, and a process of
its own for each run; the ways take turns. `first` is an epoch from the files, `second` the one after it. Ours
counts in the first all that is done only once: looking through the files, and resizing them into a mapped
file. Imports are done before the clock starts. `CPU` is the time that all processors together spend on a
sample, which other work on the machine disturbs less.

Digits: the 1,797 images of 8 x 8 pixels, in batches of 64 in random order.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path
from time import perf_counter

import numpy as np
from PIL import Image, ImageFilter

IMAGES, WIDTH, HEIGHT, SIDE, BATCH, CLASSES = 5_000, 400, 300, 224, 64, 10
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
EPOCHS = 20  # of the digits, of which the fastest counts
TARGETS = {"first": 1.0, "second": 5.0, "digits": 10.0}
Epoch = Callable[[int], Iterable[object]]


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--smoke", action="store_true", help="one run on 200 images")
    parser.add_argument("--images", type=int, default=IMAGES)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--way", nargs=2, metavar=("WAY", "FOLDER"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.way:
        print(json.dumps(WAYS[arguments.way[0]](arguments.way[1], arguments.workers)))
        return
    count, runs = (200, 1) if arguments.smoke else (arguments.images, arguments.runs)
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "torchvision", "timm", "pillow"))
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {versions}")
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        size = write_images(Path(folder), count)
        print(
            f"{count:,} JPEGs of {size / count / 1e3:.0f} kB, {arguments.workers} workers, {runs} runs "
            f"(load before: {load:.1f})"
        )
        measured: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
        for _ in range(runs):
            for way, results in measured.items():
                results.append(_run(way, folder, arguments.workers))
    found = {
        way: {epoch: statistics.median(result[epoch] for result in results) for epoch in results[0]}
        for way, results in measured.items()
    }
    _report_images(found)
    _report_digits(found)


def write_images(root: Path, count: int) -> int:
    """Class folders of JPEGs with large shapes and fine grain; returns their bytes."""
    rng, total = np.random.default_rng(0), 0
    for number in range(count):
        coarse = Image.fromarray(rng.integers(256, size=(HEIGHT // 16, WIDTH // 16, 3), dtype=np.uint8))
        smooth = np.asarray(coarse.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC))
        grain = rng.normal(0, 12, size=(HEIGHT, WIDTH, 1))
        image = Image.fromarray(np.clip(smooth + grain, 0, 255).astype(np.uint8))
        path = root / str(number % CLASSES) / f"{number}.jpg"
        path.parent.mkdir(exist_ok=True)
        image.filter(ImageFilter.GaussianBlur(0.7)).save(path, quality=85)
        total += path.stat().st_size
    return total


# -- the ways, each in a process of its own ---------------------------------------------------


def ours(root: str, workers: int) -> dict[str, float]:
    """The way that `zoo train` takes."""
    import torch

    import zoo
    import zoo.data.assemble
    import zoo.data.sources.folders
    from zoo.data.batches import batches
    from zoo.data.load import load_dataset
    from zoo.data.splits import epoch_rows
    from zoo.registry import installed
    from zoo.tasks.base import prepare
    from zoo.tasks.classification import image_classification as task

    torch.set_num_threads(workers)
    registry = installed()
    spec = registry.model("timm/resnet18")[0].spec
    recipe, cpu = zoo.Recipe(image_size=SIDE, flip=True), torch.device("cpu")
    held: dict[str, object] = {}

    def epoch(number: int) -> Iterable[object]:
        if not held:
            dataset = load_dataset(root, registry=registry)
            held["prepared"] = prepare(task, dataset, task.fit(dataset, spec, recipe))
        prepared = held["prepared"]
        for split in prepared.splits.values():
            split = split.to(cpu)
            rows = torch.split(epoch_rows(len(split), seed=0, epoch=number), BATCH)
            for batch in batches(split, rows, cpu):
                yield task.augment(batch, recipe, prepared.problem)["images"]

    return _timed(epoch)


def torchvision(root: str, workers: int) -> dict[str, float]:
    """`ImageFolder` and torch's `DataLoader`."""
    import torch
    from torch.utils.data import DataLoader
    from torchvision.datasets import ImageFolder
    from torchvision.transforms import v2

    transform = v2.Compose(
        [
            v2.Resize(SIDE),
            v2.CenterCrop(SIDE),
            v2.RandomHorizontalFlip(),
            v2.PILToTensor(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(MEAN, STD),
        ]
    )
    loader = DataLoader(ImageFolder(root, transform), batch_size=BATCH, shuffle=True, num_workers=workers)
    return _timed(lambda number: (images for images, _ in loader))


def timm(root: str, workers: int) -> dict[str, float]:
    """Data set and loader of timm."""
    from timm.data import create_dataset, create_loader

    loader = create_loader(
        create_dataset("", root),
        input_size=(3, SIDE, SIDE),
        batch_size=BATCH,
        is_training=True,
        use_prefetcher=False,
        scale=(1.0, 1.0),
        ratio=(1.0, 1.0),
        train_crop_mode="rkrc",  # resize and crop as the others do
        hflip=0.5,
        color_jitter=None,
        interpolation="bilinear",
        mean=MEAN,
        std=STD,
        num_workers=workers,
        persistent_workers=False,
    )
    return _timed(lambda number: (images for images, _ in loader))


def digits_dataloader(root: str, workers: int) -> dict[str, float]:
    """`DataLoader(TensorDataset)`, which is fastest without workers."""
    from torch.utils.data import DataLoader, TensorDataset

    split, _ = _digits(workers)
    batch = split.columns
    loader = DataLoader(TensorDataset(batch["images"], batch["labels"]), batch_size=BATCH, shuffle=True)
    return _fastest(lambda number: (images for images, _ in loader))


def digits_ours(root: str, workers: int) -> dict[str, float]:
    """The way that `zoo train` takes."""
    import torch

    from zoo.data.batches import batches
    from zoo.data.splits import epoch_rows

    split, device = _digits(workers)

    def epoch(number: int) -> Iterable[object]:
        rows = torch.split(epoch_rows(len(split), seed=0, epoch=number), BATCH)
        return (batch["images"] for batch in batches(split, rows, device))

    return _fastest(epoch)


def _digits(workers: int):  # type: ignore[no-untyped-def]  # torch is imported by the ways alone
    import torch

    import zoo
    from zoo.data.load import load_dataset
    from zoo.tasks.classification import image_classification as task

    torch.set_num_threads(workers)
    dataset = load_dataset("digits")
    columns = {
        name: np.concatenate([np.asarray(part[name]) for part in dataset.splits.values()])
        for name in ("images", "labels")
    }
    shape = zoo.ImagePreprocess(channels=1, height=8, width=8, mean=(0.3,), std=(0.4,))
    return task.encode(columns, shape, dataset.problem, training=True), torch.device("cpu")


def _timed(epoch: Epoch) -> dict[str, float]:
    """Samples a second of two epochs, and the processors' milliseconds for each sample, workers included."""
    found = {}
    for number, name in enumerate(("first", "second")):
        started, busy = perf_counter(), sum(os.times()[:4])
        samples = sum(len(images) for images in epoch(number))  # type: ignore[arg-type]
        found[name] = samples / (perf_counter() - started)
        found[f"{name} cpu"] = (sum(os.times()[:4]) - busy) * 1e3 / samples
    return found


def _fastest(epoch: Epoch) -> dict[str, float]:
    """Samples a second of the fastest of many epochs."""
    best = 0.0
    for number in range(EPOCHS):
        started = perf_counter()
        samples = sum(len(images) for images in epoch(number))  # type: ignore[arg-type]
        best = max(best, samples / (perf_counter() - started))
    return {"digits": best}


WAYS = {
    "zoo": ours,
    "timm": timm,
    "torchvision": torchvision,
    "zoo, digits": digits_ours,
    "DataLoader, digits": digits_dataloader,
}


# -- what came of it --------------------------------------------------------------------------


def _run(way: str, folder: str, workers: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as home:  # so that nothing is kept from before
        done = subprocess.run(
            (sys.executable, __file__, "--way", way, folder, "--workers", str(workers)),
            check=True,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "ZOO_HOME": home, "ZOO_QUIET": "1", "OMP_NUM_THREADS": str(workers)},
        )
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def _report_images(found: dict[str, dict[str, float]]) -> None:
    others, epochs = ("timm", "torchvision"), ("first", "second")
    print(f"{'images':<22}{'first epoch':>12}{'CPU':>10}{'second epoch':>14}{'CPU':>10}")
    for way in ("zoo", *others):
        cells = (f"{found[way][name]:>10,.0f}/s{found[way][f'{name} cpu']:>7.2f} ms" for name in epochs)
        print(f"{way:<22}{'  '.join(cells)}")
    fast = [found["zoo"][name] / max(found[way][name] for way in others) for name in epochs]
    lean = [min(found[way][f"{name} cpu"] for way in others) / found["zoo"][f"{name} cpu"] for name in epochs]
    print(f"{'zoo to the better':<22}{fast[0]:>12.2f}{lean[0]:>10.2f}{fast[1]:>14.2f}{lean[1]:>10.2f}")
    print(f"{'target, at least':<22}{TARGETS['first']:>12.1f}{'':>10}{TARGETS['second']:>14.1f}")


def _report_digits(found: dict[str, dict[str, float]]) -> None:
    fast, slow = (found[way]["digits"] for way in ("zoo, digits", "DataLoader, digits"))
    print(f"{'digits':<22}{'zoo':>14}{'DataLoader':>16}{'ratio':>8}{'target':>8}")
    print(
        f"{'1,797 of 8 x 8':<22}{fast:>12,.0f}/s{slow:>14,.0f}/s{fast / slow:>8.1f}{TARGETS['digits']:>8.1f}"
    )


if __name__ == "__main__":
    main()
