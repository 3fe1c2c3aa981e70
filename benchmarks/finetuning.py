"""What weights of another task are worth when there are few images: fine-tuned beside from scratch.

    python benchmarks/finetuning.py [--smoke] [--model NAME] [--samples N ...] [--seeds N] [--runs DIR]

The whole way of a user without the internet: glyphs of 26 letters are rendered from the fonts that matplotlib
brings, a small architecture of timm is trained on them, its weights are served by a hub on loopback and
brought by an installed pip package under a tag, and `zoo.train("timm/NAME.glyphs", ...)` fine-tunes them on
the digits by the plugin's own recipe. From scratch, the same architecture sees the same images as often, at
the recipe for that. Each cell is the mean accuracy on the digits' test split over the seeds, each of which
draws its own images, as many of each digit as can be, and its own initial weights. Finished trainings under
`--runs` are not repeated.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
from numpy.random import PCG64, Generator
from PIL import Image, ImageDraw, ImageFilter, ImageFont

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
PER_LETTER = 1000  # images
CANVAS, BLOCK = 32, 4  # pixels that are drawn, and the side of a block of them that becomes one
FONTS = ("DejaVu", "STIXGeneral")
MATHEMATICAL = ("Math", "Display")
REPOSITORY, TAG, PACKAGE = "zoo/glyphs", "glyphs", "zoo_glyphs"
SIZE = 32  # pixels that the network sees
WAYS = ("fine-tuned", "from scratch")


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--smoke", action="store_true", help="a few steps of each; the figures mean nothing")
    parser.add_argument("--model", default="timm/resnet10t")
    parser.add_argument("--samples", type=int, nargs="+", default=[50, 100, 200])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--runs", type=Path, default=Path("runs/finetuning"))
    parser.add_argument(
        "--train", nargs=4, metavar=("WAY", "SAMPLES", "SEED", "FOLDER"), help=argparse.SUPPRESS
    )
    arguments = parser.parse_args()
    steps = {"steps": 2} if arguments.smoke else {}
    if arguments.train:
        way, samples, seed, folder = arguments.train
        train(arguments.model, way, int(samples), int(seed), Path(folder), steps)
        return
    if arguments.smoke:
        arguments.samples, arguments.seeds = arguments.samples[:1], 1
    arguments.runs.mkdir(parents=True, exist_ok=True)
    run = pretrain(arguments.model, arguments.runs.absolute(), steps)
    with hub(run) as url:
        site = install_weights(run, arguments.runs.absolute())
        report(arguments, {"HF_ENDPOINT": url, "PYTHONPATH": os.pathsep.join([str(site), *sys.path[1:]])})


# -- the weights ------------------------------------------------------------------------------


def pretrain(model: str, runs: Path, steps: dict[str, int]) -> Path:
    """The finished run on the glyphs."""
    import zoo

    folder, data = runs / "pretrained", runs / "glyphs.npz"
    if not data.exists():
        images, labels = render_glyphs(PER_LETTER)
        np.savez(data, images=images, labels=np.array(list(LETTERS))[labels])
    if not (folder / "run.json").exists():
        zoo.train(model, str(data), output=folder, settings={"image_size": SIZE, **steps})
    elif zoo.Run.open(folder).record.state != "finished":
        zoo.resume(folder)
    return folder


def render_glyphs(count: int) -> tuple[np.ndarray, np.ndarray]:
    """`count` images of each letter, uint8 `[N, 8, 8]`, and its number, int64 `[N]`; made as the digits were.

    Those are drawings of 32 x 32 black or white pixels, of which each block of 4 x 4 became their number
    (Alpaydin and Kaynak 1998).
    """
    rng, fonts = Generator(PCG64(0)), find_fonts()
    labels = np.repeat(np.arange(len(LETTERS)), count)
    images = np.stack([_drawn(LETTERS[label], fonts[rng.integers(len(fonts))], rng) for label in labels])
    side = CANVAS // BLOCK
    blocks = images.reshape(-1, side, BLOCK, side, BLOCK).sum(axis=(2, 4))  # [N, 8, 8], 0..16
    return np.rint(blocks * (255 / BLOCK**2)).astype(np.uint8), labels


def find_fonts() -> list[Path]:
    """The fonts with plain letters among those that matplotlib brings, by name: the same everywhere."""
    import matplotlib

    found = Path(matplotlib.get_data_path(), "fonts", "ttf").glob("*.ttf")
    return [
        path
        for path in sorted(found)
        if path.name.startswith(FONTS) and not any(word in path.name for word in MATHEMATICAL)
    ]


def _drawn(letter: str, font: Path, rng: Generator) -> np.ndarray:
    """The letter, large or small, by a shaky hand: bool `[32, 32]`."""
    wide = 2 * CANVAS
    image = Image.new("L", (wide, wide))
    ImageDraw.Draw(image).text(
        (wide / 2, wide / 2),
        letter if rng.random() < 0.5 else letter.lower(),
        fill=255,
        font=ImageFont.truetype(str(font), int(rng.integers(28, 44))),
        anchor="mm",
        stroke_width=int(rng.integers(0, 2)),
    )
    image = image.rotate(rng.normal(0, 8), resample=Image.Resampling.BILINEAR)
    image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.2)))
    box = image.point(lambda level: 255 * (level > 100)).getbbox() or (0, 0, wide, wide)
    middle, height = (box[0] + box[2]) / 2, box[3] - box[1]  # the digits fill theirs from top to bottom
    half = max(box[2] - box[0], height * rng.uniform(0.9, 1.2)) / 2
    edges = np.clip((middle - half, box[1], middle + half, box[3]), 0, wide)
    fitted = image.resize((CANVAS, CANVAS), Image.Resampling.BILINEAR, box=tuple(edges))
    return np.asarray(fitted) > 100


# -- the hub and the package ------------------------------------------------------------------


@contextmanager
def hub(run: Path) -> Iterator[str]:
    """The URL of a server on this machine from which huggingface_hub takes the run's weights."""
    sys.path.append(str(Path(__file__).parents[1] / "tests"))
    from hub import serving  # type: ignore[import-not-found]  # of the tests

    content = (run / "model.safetensors").read_bytes()
    with serving({f"/{REPOSITORY}/resolve/*/model.safetensors": content}) as server:
        yield server.url


def install_weights(run: Path, runs: Path) -> Path:
    """A folder of installed packages with one that brings the tag, whose file is on the hub."""
    import zoo

    project, site = runs / "package", runs / "site"
    if not project.exists():
        zoo.pack_weights(zoo.Run.open(run), project, name="glyphs", tag=TAG)
        records = project / PACKAGE / "weights.json"
        record = msgspec.json.decode(records.read_bytes())
        record["weights"][0]["source"] = f"hf://{REPOSITORY}/model.safetensors"
        records.write_bytes(msgspec.json.encode(record))
        for path in (project / PACKAGE).rglob("*.safetensors"):
            path.unlink()
    if not site.exists():
        pip = (sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation")
        subprocess.run((*pip, "--target", str(site), str(project)), check=True)
    return site


# -- what they are worth ----------------------------------------------------------------------


def train(model: str, way: str, samples: int, seed: int, folder: Path, steps: dict[str, int]) -> None:
    """One training on `samples` digits drawn by `seed`; both ways see each image as often."""
    import zoo
    from zoo.data import load_dataset
    from zoo.recipes import resolve_recipe

    digits = load_dataset("digits")
    rows = draw(np.asarray(digits.splits["train"]["labels"]), samples, seed)
    few = {name: np.asarray(column)[rows] for name, column in digits.splits["train"].items()}
    data = replace(
        digits,
        splits={**digits.splits, "train": few},
        problem=digits.problem.replace(samples=len(rows)),
    )
    settings = {"image_size": SIZE, "seed": seed, **steps}
    if way == "fine-tuned":
        name = f"{model}.{TAG}"
    else:
        name = model
        tuned = resolve_recipe(zoo.info(model), "image-classification", samples=len(rows), finetune=True)
        settings = {"epochs": tuned.epochs, **settings}
    zoo.train(name, data, output=folder, settings=settings, device="cpu")


def draw(labels: np.ndarray, samples: int, seed: int) -> np.ndarray:
    """Rows of which each class has as many as the others, or one more."""
    rng, classes = Generator(PCG64(seed)), np.unique(labels)
    shuffled = [rng.permutation(np.flatnonzero(labels == each)) for each in classes]
    most = -(-samples // len(classes))
    ranked = np.concatenate([rows[:most] for rows in shuffled])
    place = np.concatenate([np.arange(len(rows[:most])) for rows in shuffled])
    return ranked[np.argsort(place, kind="stable")][:samples]


def report(arguments: argparse.Namespace, environment: dict[str, str]) -> None:
    """The table, each training in a process of its own that knows the installed package."""
    import zoo

    pretrained = zoo.Run.open(arguments.runs / "pretrained").record
    print(
        f"{platform.machine()}, Python {platform.python_version()}; {arguments.model}, {SIZE} pixels; "
        f"on {len(LETTERS) * PER_LETTER:,} glyphs of {len(find_fonts())} fonts: accuracy "
        f"{pretrained.metrics['accuracy']:.3f} on the glyphs' test split"
    )
    print(f"{'digits':<8}" + "".join(f"{way:>24}" for way in WAYS) + f"{'difference':>24}")
    for samples in arguments.samples:
        scores = {
            way: [_score(arguments, environment, way, samples, seed) for seed in range(arguments.seeds)]
            for way in WAYS
        }
        gains = [one - other for one, other in zip(*scores.values(), strict=True)]
        print(
            f"{samples:<8}" + "".join(f"{summary(each):>24}" for each in (*scores.values(), gains)),
            flush=True,
        )


def _score(
    arguments: argparse.Namespace, environment: dict[str, str], way: str, samples: int, seed: int
) -> float:
    import zoo

    folder = arguments.runs.absolute() / f"{way.replace(' ', '-')}-{samples}-{seed}"
    if not (folder / "run.json").exists():
        command = [sys.executable, __file__, "--model", arguments.model]
        command += ["--smoke"] if arguments.smoke else []
        command += ["--train", way, str(samples), str(seed), str(folder)]
        subprocess.run(command, check=True, env={**os.environ, "HF_HUB_OFFLINE": "0", **environment})
    elif zoo.Run.open(folder).record.state != "finished":
        zoo.resume(folder)
    return zoo.Run.open(folder).metrics["accuracy"]


def summary(values: Sequence[float]) -> str:
    """Their mean and deviation."""
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.4f} +- {spread:.4f}"


if __name__ == "__main__":
    main()
