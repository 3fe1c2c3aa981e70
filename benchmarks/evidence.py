"""Trains the zoo's models on the sample data at several sizes, for the recommender to learn from.

    python benchmarks/evidence.py [--seeds N] [--only GLOB] [--runs DIR] [--minutes M]

Each training is a run folder of its own under `--runs`: what was interrupted is gone on with, what is
finished, or in the table from as many seeds, is not trained again. A record of
`zoo/recommender/evidence.json` from N seeds is that of the first N; the next seed joins it when it is
trained. What is to be measured again is taken out by hand. The recipe is the plugin's own at every size.
Each training is made with the first seed before any with the second. At the end the table is printed.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import msgspec

import zoo
from zoo.data import Dataset, load_dataset
from zoo.diagnosis.sizes import part_of
from zoo.runs import RECORD, Run
from zoo.specs import Evidence, to_builtins

SIZES = {  # training samples; the whole set last
    "digits": (50, 100, 200, 400, 800, 1297),
    "cbf": (30,),
    "control": (60, 150, 300),
    "snippets": (200, 1000, 5000, 20000),
    "dates": (2000, 8000),
    "mackey-glass": (500, 1000, 1881),
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
    ),
    "snippets": ("cnn/textcnn", "lstm/classifier", "transformer/classifier"),
    "dates": ("lstm/seq2seq", "transformer/seq2seq"),
    "stdlib": ("lstm/language_model", "lstm/min_gru", "transformer/gpt"),
}
ONLY_WHOLE = {  # those that are trained on the whole set alone
    "digits": ("cnn/resnet32", "cnn/resnet56", "cnn/wide_resnet", "timm/mobilenetv3_small_050"),
}
ROUNDING = 0.06  # by which a part, taken of each class, misses its size
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
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=600.0)
    parser.add_argument(
        "--collect", type=Path, nargs="*", default=[], help="further folders of finished runs"
    )
    parser.add_argument("--shared", action="store_true", help="the machine does other work: note no seconds")
    arguments = parser.parse_args()
    end = time.monotonic() + 60 * arguments.minutes
    groups = _finished([arguments.runs, *arguments.collect])
    _write(groups, timed=not arguments.shared)
    for seed in range(arguments.seeds):
        for model, data, size in _plan():
            key = f"{model}/{data}/{size or 'all'}"
            if not fnmatchcase(key, arguments.only) or _is_known(model, data, size, seed, groups):
                continue
            if time.monotonic() > end:
                break
            folder = arguments.runs / f"{key.replace('/', '-')}-seed{seed}"
            going_on = (folder / RECORD).exists()
            run = zoo.resume(folder) if going_on else _train(model, data, size, seed, folder)
            print(f"{key}, seed {seed}: {dict(run.metrics)} in {run.record.seconds:.0f} s", flush=True)
            groups.setdefault(_key(run), []).append(run)
            _write(groups, timed=not arguments.shared)
    _print_table()


def _plan() -> Iterator[tuple[str, str, int]]:
    """Every training, the whole data sets before their parts."""
    for place in range(max(map(len, SIZES.values()))):
        for data, models in MODELS.items():
            if place < len(SIZES[data]):
                chosen = (*models, *ONLY_WHOLE.get(data, ())) if place == 0 else models
                yield from ((model, data, SIZES[data][-1 - place]) for model in chosen)


def _is_known(model: str, data: str, size: int, seed: int, groups: Groups) -> bool:
    """Whether there is a finished run from that seed, or the table counts as many."""
    counts = [_count(record) for key, record in _kept().items() if _is_of(key, model, data, size)]
    runs = [run for key, runs in groups.items() if _is_of(key, model, data, size) for run in runs]
    return seed < max(counts, default=0) or any(run.record.recipe.seed == seed for run in runs)


def _is_of(key: tuple[str, str, int], model: str, data: str, size: int) -> bool:
    return key[:2] == (model, data) and (not size or abs(key[2] - size) <= ROUNDING * size)


def _count(record: Mapping[str, Any] | None) -> int:
    """How many seeds a record of the table is from."""
    return record.get("seeds", 1) if record else 0


def _finished(folders: list[Path]) -> Groups:
    """The finished runs from scratch, by model, data set and training samples."""
    groups: Groups = {}
    for path in sorted(path for folder in folders for path in folder.glob(f"*/{RECORD}")):
        run = Run.open(path.parent)
        record = run.record
        if record.state == "finished" and not record.weights:
            groups.setdefault(_key(run), []).append(run)
    return groups


def _key(run: Run) -> tuple[str, str, int]:
    record = run.record
    return record.model, record.data["name"], record.problem.samples or 0


def _train(model: str, data: str, size: int, seed: int, folder: Path) -> Run:
    return zoo.train(model, part(load_dataset(data), size), output=folder, settings={"seed": seed})


def part(dataset: Dataset, size: int) -> Dataset:
    """The data set with some `size` of its training samples, each class with its share."""
    whole = dataset.problem.samples or dataset.size("train")
    return part_of(dataset, size / whole) if 0 < size < whole else dataset


def _write(groups: Groups, *, timed: bool) -> None:
    """The table: one record for each model, data set and size, joined by the runs of further seeds."""
    records = _kept()
    for key, runs in groups.items():
        by_seed = {run.record.recipe.seed: run for run in runs}
        while (seed := _count(records.get(key))) in by_seed:
            records[key] = to_builtins(_joined(records.get(key), by_seed[seed], timed))
    ordered = {"evidence": [records[key] for key in sorted(records)]}
    TABLE.write_bytes(msgspec.json.format(msgspec.json.encode(ordered), indent=1) + b"\n")


def _kept() -> dict[tuple[str, str, int], Any]:
    """The table's records by model, data set and training samples."""
    records = msgspec.json.decode(TABLE.read_bytes())["evidence"]
    return {(each["model"], each["dataset"], each["problem"].get("samples", 0)): each for each in records}


def _print_table() -> None:
    print("| model | data | samples | score | seeds |\n|---|---|---|---|---|")
    for (model, data, samples), record in sorted(_kept().items()):
        spread = f" ± {record['spread']:.4f}" if record.get("spread") is not None else ""
        print(
            f"| `{model}` | {data} | {samples} | {record['score']:.4f}{spread} | {record.get('seeds', 1)} |"
        )


def _joined(known: Mapping[str, Any] | None, run: Run, timed: bool) -> Evidence:
    """What the runs of one model on one data set reached: those of a record of the table, and one more."""
    record, recipe, score = run.record, run.record.recipe, run.metrics[_metric(run)]
    before, known = _count(known), known or {}
    last = known.get("score", 0.0)
    mean = last + (score - last) / (before + 1)
    squares = max(0, before - 1) * known.get("spread", 0.0) ** 2 + (score - last) * (score - mean)
    return Evidence(
        model=record.model,
        problem=load_dataset(record.data["name"]).problem.replace(samples=record.problem.samples),
        source=SOURCE,
        dataset=record.data["name"],
        score=round(mean, 5),
        spread=round(math.sqrt(squares / before), 5) if before else None,
        seeds=before + 1,
        device=record.device,
        precision=record.precision,
        batch_size=recipe.batch_size,
        seen=record.steps * min(recipe.batch_size, record.problem.samples or recipe.batch_size),
        seconds=known.get("seconds", round(record.seconds, 2) if timed else None),
        memory_bytes=max(record.peak_memory_bytes or 0, known.get("memory_bytes", 0)) or None,
    )


def _metric(run: Run) -> str:
    from zoo.registry import installed

    return installed().task(run.record.problem.task).metric


if __name__ == "__main__":
    main()
