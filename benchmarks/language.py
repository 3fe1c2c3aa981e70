"""Bits per byte of language models of equal size, trained for equal seconds on Python's standard library.

    python benchmarks/language.py [--smoke] [--seeds N] [--seconds S] [--only GLOB] [--runs DIR]

Each model trains by its plugin's recipe through `zoo.train`, at the size and with the settings that `MODELS`
says, in one thread. Seconds are those that the processor spends on the training steps, so that other work on
the machine counts for nobody. How many steps they are worth is found beforehand, in short trainings of all
models in turn, and kept in `paces.json`: the schedule of each ends when its time does.

Judged is the test split as `zoo train` judges it, in windows of 256 bytes that each begin without a state;
`carried` is a recurrent network that reads the split on and on, with its state carried from piece to piece.

A training is a run folder under `--runs` and gone on with where it was interrupted. Each finished one is a
line of `results.jsonl` there and is not repeated; one whose settings have changed since is.
"""

from __future__ import annotations

import argparse
import math
import platform
import shutil
import statistics
import tempfile
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch.nn import functional as F

import zoo
from zoo.data import Dataset, load_dataset
from zoo.registry import installed
from zoo.runs import RECORD, write_whole
from zoo_lstm.stream import read_on

DATA = "stdlib"
TURNS, PACED = 3, 10  # short trainings of each model, and their steps
COMMON = {"eval_samples": 128}
AWD = {"embedding": 128, "units": 206}
ASGD = {  # that of Merity et al. (2017), who wait for five validations without a better one
    "optimizer": "sgd",
    "momentum": 0.0,
    "schedule": "constant",
    "weight_decay": 1.2e-6,
    "grad_clip": 0.25,
    "ema_decay": 0.0,
    "average_after": 1,
}
ROWS, PIECE = 16, 256  # parts of the split that are read side by side, and bytes read at once


@dataclass(frozen=True, kw_only=True)
class Contestant:
    """A model, what is passed to its builder, and in which settings its recipe is departed from.

    `changes` are those beside learning rate and precision.
    """

    model: str
    options: Mapping[str, Any]
    lr: float
    precision: str = "fp32"
    changes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def settings(self) -> dict[str, Any]:
        """In what its recipe is departed from."""
        return {"lr": self.lr, "precision": self.precision, **COMMON, **self.changes}

    def known(self) -> dict[str, Any]:
        """What the result of a training depends on, beside its length and seed."""
        return {"model": self.model, "options": dict(self.options), **self.settings}

    def paced(self) -> dict[str, Any]:
        """What the time of a step depends on."""
        return {**self.known(), "lr": None}


MODELS = {  # 823,443 to 826,607 parameters
    "GPT": Contestant(model="transformer/gpt", options={}, lr=3e-3, precision="bf16"),
    "LSTM": Contestant(model="lstm/language_model", options={"embedding": 128, "units": 371}, lr=6e-3),
    "AWD-LSTM": Contestant(model="lstm/awd_lstm", options=AWD, lr=3e-3),
    "AWD-LSTM, ASGD": Contestant(model="lstm/awd_lstm", options=AWD, lr=10.0, changes=ASGD),
    "GRU": Contestant(
        model="lstm/language_model",
        options={"cell": "gru", "embedding": 128, "units": 434},
        lr=3e-3,
        changes={"batch_size": 8},  # of 16 it would make half as many steps in its time as the others
    ),
    "minGRU": Contestant(
        model="lstm/min_gru",
        options={"embedding": 262, "units": 262, "layers": 5},
        lr=3e-3,
        changes={"batch_size": 8},
    ),
}


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """A finished training: the processor's `seconds` for its steps, and what it reached on the test split."""

    name: str
    seed: int
    budget: float
    precision: str
    lr: float
    parameters: int
    steps: int
    tokens: int
    seconds: float | None
    bits_per_byte: float
    carried: float | None
    settings: dict[str, Any]
    version: str


@dataclass
class Clock(zoo.Callback):
    """The processor's seconds that each step took, without those of judging and saving."""

    taken: list[float] = field(default_factory=list)
    _begun: float = 0.0

    def start(self, run: zoo.Run, total_steps: int, first_step: int) -> None:
        """The first step begins."""
        self._begun = time.process_time()

    def step(self, step: zoo.Step) -> None:
        """One ends, and the next begins."""
        now = time.process_time()
        self.taken.append(now - self._begun)
        self._begun = now

    def epoch(self, row: dict[str, Any]) -> None:
        """The next step begins after all that."""
        self._begun = time.process_time()


# -- how long a step takes --------------------------------------------------------------------


def find_paces(models: Mapping[str, Contestant], folder: Path) -> dict[str, float]:
    """Seconds of the processor a step, by name: kept ones, and those of new short trainings in turn."""
    path, kept = folder / "paces.json", {}
    if path.exists():
        kept = {row["name"]: row for row in msgspec.json.decode(path.read_bytes())}
    missing = [name for name, model in models.items() if kept.get(name, {}).get("of") != model.paced()]
    found: dict[str, list[float]] = {name: [] for name in missing}
    for _ in range(TURNS if missing else 0):
        for name in missing:
            found[name] += short_training(models[name], folder / "pace")
    for name, taken in found.items():
        kept[name] = {"name": name, "of": models[name].paced(), "seconds": statistics.median(taken)}
        print(f"{name}: {kept[name]['seconds'] * 1000:.1f} ms of the processor a step", flush=True)
    if missing:
        write_whole(path, msgspec.json.format(msgspec.json.encode(list(kept.values()))))
    return {name: kept[name]["seconds"] for name in models}


def short_training(model: Contestant, folder: Path) -> list[float]:
    """The seconds of some steps, without the first ones, which are slow."""
    clock, some = Clock(), _some(load_dataset(DATA), 20)
    settings = {**model.settings, "steps": PACED + 3, "eval_samples": 1, "warmup_epochs": 0.0}
    zoo.train(model.model, some, output=folder, settings=settings, callbacks=[clock], **model.options)
    shutil.rmtree(folder)
    return clock.taken[3:]


def _some(dataset: Dataset, documents: int) -> Dataset:
    """The training split's first documents, and one to be judged."""
    counts = {"train": documents, "validation": 1, "test": 1}
    splits = {split: {"text": dataset.splits[split]["text"][:count]} for split, count in counts.items()}
    return replace(dataset, splits=splits)


# -- training and judging ---------------------------------------------------------------------


def train(
    name: str, model: Contestant, seed: int, *, budget: float, pace: float, data: Dataset, folder: Path
) -> Result:
    """One training of `budget` seconds at `pace` seconds a step, gone on with where it was interrupted."""
    clock, steps = Clock(), max(2, round(budget / pace))
    of = zlib.crc32(msgspec.json.encode([model.known(), steps], order="sorted"))
    output = folder / f"{name.lower().replace(', ', '-')}-seed{seed}-{of:08x}"
    if not (output / RECORD).exists():
        settings = {**model.settings, "steps": steps, "seed": seed}
        run = zoo.train(
            model.model, data, output=output, settings=settings, callbacks=[clock], **model.options
        )
    else:
        run = zoo.Run.open(output)
        if run.record.state != "finished":
            run = zoo.resume(output, data=data, callbacks=[clock])
    network, record = zoo.load(str(output)).eval(), run.record
    length = getattr(record.problem.input, "length", 0)
    return Result(
        name=name,
        seed=seed,
        budget=budget,
        precision=record.precision,
        lr=record.recipe.lr,
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        steps=record.steps,
        tokens=record.steps * record.recipe.batch_size * length,
        seconds=statistics.fmean(clock.taken) * record.steps if clock.taken else None,
        bits_per_byte=run.metrics["bits_per_byte"],
        carried=carried_bits(network, run, data) if model.model.startswith("lstm/") else None,
        settings=model.known(),
        version=str(torch.__version__),
    )


@torch.inference_mode()
def carried_bits(network: Any, run: zoo.Run, data: Dataset) -> float:
    """Bits per byte of the test split in `ROWS` parts, each read from its beginning to its end."""
    record = run.record
    task = installed().task_implementation(record.problem.task)
    split: Any = task.encode(data.splits["test"], record.preprocess, record.problem, training=False)
    nats = size = 0.0
    for logits, targets in read_on(network, split.stream.long(), rows=ROWS, length=PIECE):
        nats += F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum").item()
        size += split.sizes[targets].sum().item()
    return nats / math.log(2) / size


# -- what is to be done and what is done ------------------------------------------------------


def main() -> None:
    """Trains what is still missing, and prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--smoke", action="store_true", help="two steps of each, which are not kept")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=120.0, help="of the processor, for each training")
    parser.add_argument("--only", default="*", help="a glob over the models' names")
    parser.add_argument("--runs", type=Path, default=Path("runs/language"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    models = {name: model for name, model in MODELS.items() if fnmatchcase(name, arguments.only)}
    data = load_dataset(DATA)
    if arguments.smoke:
        with tempfile.TemporaryDirectory() as folder:
            paces = dict.fromkeys(models, 1.0)
            report(run(models, Path(folder), seeds=1, budget=2.0, paces=paces, data=_some(data, 2)))
        return
    arguments.runs.mkdir(parents=True, exist_ok=True)
    paces = find_paces(models, arguments.runs)
    report(
        run(models, arguments.runs, seeds=arguments.seeds, budget=arguments.seconds, paces=paces, data=data)
    )


def run(
    models: Mapping[str, Contestant],
    folder: Path,
    *,
    seeds: int,
    budget: float,
    paces: Mapping[str, float],
    data: Dataset,
) -> list[Result]:
    """All results there are of these models and this budget, after the trainings that were missing."""
    path = folder / "results.jsonl"
    lines = path.read_bytes().splitlines() if path.exists() else []
    kept = [msgspec.json.decode(line, type=Result) for line in lines]
    results = [
        each
        for each in kept
        if each.name in models and (each.settings, each.budget) == (models[each.name].known(), budget)
    ]
    done = {(each.name, each.seed) for each in results}
    for seed in range(seeds):
        for name, model in models.items():
            if (name, seed) in done:
                continue
            result = train(name, model, seed, budget=budget, pace=paces[name], data=data, folder=folder)
            with path.open("ab") as file:
                file.write(msgspec.json.encode(result) + b"\n")
            print(f"{name}, seed {seed}: {result.bits_per_byte:.4f} after {result.steps:,} steps", flush=True)
            results.append(result)
    return results


def report(results: Sequence[Result]) -> None:
    """A line for each model, the best first."""
    print(f"\n{platform.machine()}, Python {platform.python_version()}, torch {torch.__version__}, 1 thread")
    print(
        f"{'model':<16}{'parameters':>11}{'precision':>11}{'lr':>8}{'steps':>8}{'tokens':>9}{'seconds':>9}"
        f"{'bits/byte':>11}{'carried':>9}  each seed"
    )
    groups: dict[str, list[Result]] = {}
    for result in sorted(results, key=lambda each: each.seed):
        groups.setdefault(result.name, []).append(result)
    means = {name: statistics.fmean(one.bits_per_byte for one in found) for name, found in groups.items()}
    for name in sorted(means, key=means.__getitem__):
        found, first = groups[name], groups[name][0]
        print(
            f"{name:<16}{first.parameters:>11,}{first.precision:>11}{first.lr:>8g}{first.steps:>8,}"
            f"{first.tokens / 1e6:>7.1f} M{_mean(found, 'seconds', '.0f'):>9}{means[name]:>11.4f}"
            f"{_mean(found, 'carried', '.4f'):>9}  {'  '.join(f'{one.bits_per_byte:.4f}' for one in found)}"
        )


def _mean(results: Sequence[Result], name: str, digits: str) -> str:
    """That of a column, as it is printed; nothing where it is not known."""
    found = [value for value in (getattr(each, name) for each in results) if value is not None]
    return format(statistics.fmean(found), digits) if found else ""


if __name__ == "__main__":
    main()
