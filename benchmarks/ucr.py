"""How the series models do on fresh draws of CBF and of control charts, beside the same networks on UCR's.

    python benchmarks/ucr.py [--smoke] [--draws N] [--published FILE ...] [--runs DIR]

UCR's archive has one training set of each: 30 series of CBF, 300 control charts, made by the formulas
that `zoo.data.samples` states. A set so small is lucky or not, so each model is trained by its own recipe on
N other draws of the same sizes, validated on 60 more, and tested on as many as in the archive.

A FILE has published accuracies on the archive's draw: a row for each of several trainings, as in dl-4-tsc's
`results-ucr-128.csv` (Ismail Fawaz et al. 2019), or a row for each data set and a column for each network, as
in `train_loss_old_datasets.csv` of LSTM-FCN's authors (Karim et al. 2018). A finished training is a line of
`results.jsonl` under `--runs` and is not repeated.
"""

from __future__ import annotations

import argparse
import csv
import platform
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import torch
from finetuning import summary
from recommend_real import read_lines

import zoo
from zoo.data.samples import cbf, control

MODELS = {  # and what a published table calls the same network
    "cnn/fcn": "fcn",
    "cnn/resnet1d": "resnet",
    "cnn/inception_time": "",
    "cnn/minirocket": "",
    "lstm/lstm_fcn": "LSTM-FCN",
    "lstm/alstm_fcn": "ALSTM-FCN",
    "lstm/classifier": "",
    "transformer/series_classifier": "",
}
SETS = {"cbf": (cbf, "CBF"), "control": (control, "SyntheticControl")}  # the module, and the archive's name
FIRST = 101  # seed of the first draw; the sample data is made with others


class Line(msgspec.Struct, frozen=True):
    """One training: the test accuracy of a model on one draw."""

    model: str
    data: str
    draw: int
    accuracy: float
    seconds: float


def main() -> None:
    """Trains what is missing and prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--smoke", action="store_true", help="one model, few steps, one draw; keeps nothing")
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--published", type=Path, nargs="*", default=[], metavar="FILE")
    parser.add_argument("--runs", type=Path, default=Path("runs/ucr"))
    arguments = parser.parse_args()
    if arguments.smoke:
        with tempfile.TemporaryDirectory() as folder:
            _print([_train("cnn/minirocket", "cbf", FIRST, Path(folder), {"steps": 5})], {})
        return
    arguments.runs.mkdir(parents=True, exist_ok=True)
    results = arguments.runs / "results.jsonl"
    lines = [msgspec.convert(line, Line) for line in read_lines(results)]
    done = {(line.model, line.data, line.draw) for line in lines}
    for draw in range(FIRST, FIRST + arguments.draws):
        for data in SETS:
            for model in MODELS:
                if (model, data, draw) not in done:
                    lines.append(_train(model, data, draw, arguments.runs))
                    with results.open("ab") as file:
                        file.write(msgspec.json.encode(lines[-1]) + b"\n")
                    print(lines[-1], flush=True)
    _print(lines, _published(arguments.published))


def _train(model: str, data: str, draw: int, runs: Path, settings: Mapping[str, int] | None = None) -> Line:
    module, _ = SETS[data]
    drawn = replace(module.load_drawn(draw), name=f"{data}-{draw}")
    folder = runs / f"{model.replace('/', '-')}-{drawn.name}"
    run = zoo.train(model, drawn, output=folder, settings=settings or {})
    return Line(model, data, draw, run.metrics["accuracy"], round(run.record.seconds, 1))


def _published(paths: Sequence[Path]) -> dict[tuple[str, str], list[float]]:
    """The accuracies of networks on the archive's draws, by the network's and the data set's name."""
    found: dict[tuple[str, str], list[float]] = {}
    for path in paths:
        with path.open() as file:
            for row in csv.DictReader(file):
                if "classifier_name" in row:
                    scores = {row["classifier_name"]: row["accuracy"]}
                    archive = row["dataset_name"]
                else:
                    archive = row.pop("Dataset")
                    scores = row
                for name, score in scores.items():
                    found.setdefault((name, _plain(archive)), []).append(float(score))
    return found


def _plain(archive: str) -> str:
    """A data set's name, however a table writes it: `SyntheticControl`, `synthetic_control`."""
    return archive.replace("_", "").lower()


def _print(lines: Sequence[Line], published: Mapping[tuple[str, str], Sequence[float]]) -> None:
    print(f"{platform.machine()}, Python {platform.python_version()}, torch {torch.__version__}")
    print(f"{'':30}{'other draws':>22}{'least':>9}{'most':>9}  UCR, one draw")
    for data, (_, archive) in SETS.items():
        for model, name in MODELS.items():
            scores = [line.accuracy for line in lines if (line.model, line.data) == (model, data)]
            if scores:
                found = published.get((name, _plain(archive)), ())
                beside = summary(found) if len(found) > 1 else "".join(f"{score:.4f}" for score in found)
                row = f"{summary(scores):>22}{min(scores):9.4f}{max(scores):9.4f}  {beside}".rstrip()
                print(f"{data:9}{model.split('/')[1]:21}{row}")


if __name__ == "__main__":
    main()
