"""Trains the zoo's models on the sample data at several sizes, for the recommender to learn from.

    python benchmarks/evidence.py [--only GLOB] [--runs DIR] [--minutes M]

Each training is a run folder of its own under `--runs`: what was interrupted is gone on with, what is
finished or in the table is not trained again. After each, the finished runs' records in
`zoo/recommender/evidence.json` are written anew; others stay, and are measured again where they are taken out
by hand. The recipe is the plugin's own at every size.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

import zoo
from zoo.data import Dataset, load_dataset
from zoo.runs import RECORD, Run
from zoo.specs import Evidence, to_builtins

SIZES = {  # training samples; the whole set last
    "digits": (100, 400, 1297),
    "cbf": (30,),
    "control": (60, 300),
    "snippets": (500, 2000, 8000, 24000),
    "dates": (2000, 8000),
    "mackey-glass": (2000,),
    "stdlib": (0,),
}
_SERIES = (
    "cnn/minirocket",
    "cnn/fcn",
    "lstm/classifier",
    "transformer/series_classifier",
    "cnn/resnet1d",
    "lstm/lstm_fcn",
    "lstm/alstm_fcn",
    "cnn/inception_time",
)
MODELS = {  # the cheapest first
    "cbf": _SERIES,
    "control": _SERIES,
    "mackey-glass": ("cnn/tcn", "lstm/forecaster", "transformer/patchtst", "lstm/deepar"),
    "digits": (
        "cnn/lenet5",
        "cnn/convnet",
        "transformer/vit",
        "cnn/airbench",
        "cnn/resnet20",
        "timm/mobilenetv3_small_050",
        "timm/resnet18",
    ),
    "snippets": ("cnn/textcnn", "lstm/classifier", "transformer/classifier"),
    "dates": ("lstm/seq2seq", "transformer/seq2seq"),
    "stdlib": ("lstm/language_model", "lstm/min_gru", "transformer/gpt"),
}
TABLE = Path(__file__).parents[1] / "zoo" / "recommender" / "evidence.json"
SOURCE = "benchmarks/evidence.py"
Groups = dict[tuple[str, str, int], list[Run]]


def main() -> None:
    """Trains what is still missing, as long as `--minutes` allow."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="*", help="a glob over MODEL/DATA/SIZE")
    parser.add_argument("--runs", type=Path, default=Path("runs/evidence"))
    parser.add_argument("--minutes", type=float, default=600.0)
    parser.add_argument(
        "--collect", type=Path, nargs="*", default=[], help="further folders of finished runs"
    )
    parser.add_argument("--shared", action="store_true", help="the machine does other work: note no seconds")
    arguments = parser.parse_args()
    end = time.monotonic() + 60 * arguments.minutes
    folders = [arguments.runs, *arguments.collect]
    _write(_finished(folders), timed=not arguments.shared)
    for model, data, size in _plan():
        key = f"{model}/{data}/{size or 'all'}"
        folder = arguments.runs / key.replace("/", "-")
        known = {(*group[:2], size and group[2]) for group in (*_finished(folders), *_kept())}
        if (model, data, size) in known or not fnmatchcase(key, arguments.only) or time.monotonic() > end:
            continue
        run = zoo.resume(folder) if (folder / RECORD).exists() else _train(model, data, size, folder)
        print(f"{key}: {dict(run.metrics)} in {run.record.seconds:.0f} s", flush=True)
        _write(_finished(folders), timed=not arguments.shared)


def _plan() -> Iterator[tuple[str, str, int]]:
    """Every training, the whole data sets before their parts."""
    for place in range(max(map(len, SIZES.values()))):
        for data, models in MODELS.items():
            if place < len(SIZES[data]):
                yield from ((model, data, SIZES[data][-1 - place]) for model in models)


def _finished(folders: list[Path]) -> Groups:
    """The finished runs from scratch, by model, data set and training samples."""
    groups: Groups = {}
    for path in sorted(path for folder in folders for path in folder.glob(f"*/{RECORD}")):
        run = Run.open(path.parent)
        record = run.record
        if record.state == "finished" and not record.weights:
            groups.setdefault((record.model, record.data["name"], record.problem.samples or 0), []).append(
                run
            )
    return groups


def _train(model: str, data: str, size: int, folder: Path) -> Run:
    return zoo.train(model, _first(load_dataset(data), size), output=folder)


def _first(dataset: Dataset, size: int) -> Dataset:
    """The data set with the first `size` training samples; the others as they are."""
    train = dataset.splits["train"]
    if not size or size >= dataset.size("train"):
        return dataset
    fewer = {name: column[:size] for name, column in train.items()}
    problem = dataset.problem.replace(samples=size)
    return replace(dataset, splits={**dataset.splits, "train": fewer}, problem=problem)


def _write(groups: Groups, *, timed: bool) -> None:
    """The table: one record for each model, data set and size."""
    records = _kept() | {key: to_builtins(_evidence(runs, timed)) for key, runs in groups.items()}
    ordered = {"evidence": [records[key] for key in sorted(records)]}
    TABLE.write_bytes(msgspec.json.format(msgspec.json.encode(ordered), indent=1) + b"\n")


def _kept() -> dict[tuple[str, str, int], Any]:
    """The table's records by model, data set and training samples."""
    records = msgspec.json.decode(TABLE.read_bytes())["evidence"]
    return {(each["model"], each["dataset"], each["problem"].get("samples", 0)): each for each in records}


def _evidence(runs: list[Run], timed: bool) -> Evidence:
    """What the runs of one model on one data set reached, over their seeds."""
    record = runs[0].record
    scores = [run.metrics[_metric(run)] for run in runs]
    recipe = record.recipe
    return Evidence(
        model=record.model,
        problem=load_dataset(record.data["name"]).problem.replace(samples=record.problem.samples),
        source=SOURCE,
        dataset=record.data["name"],
        score=round(float(np.mean(scores)), 5),
        spread=round(float(np.std(scores, ddof=1)), 5) if len(scores) > 1 else None,
        seeds=len(scores),
        device=record.device,
        precision=record.precision,
        batch_size=recipe.batch_size,
        seen=record.steps * min(recipe.batch_size, record.problem.samples or recipe.batch_size),
        seconds=round(float(np.median([run.record.seconds for run in runs])), 2) if timed else None,
        memory_bytes=record.peak_memory_bytes or None,
    )


def _metric(run: Run) -> str:
    from zoo.registry import installed

    return installed().task(run.record.problem.task).metric


if __name__ == "__main__":
    main()
