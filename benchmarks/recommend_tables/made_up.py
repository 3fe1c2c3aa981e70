"""Small tables in the layout of the real ones, to go through the same code where those are not at hand."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from recommend_tables.common import read_rows
from recommend_tables.times import INFERRED, TRAINED
from zoo.registry import Model

METHODS = ("mlp", "fcn", "resnet")
TAGS = ("From-Scratch", "Rotation", "Sup-100%", "Sup-Rotation-100%")
ARCHITECTURES, SOURCES = ("resnet18", "resnet50"), ("imagenet", "cub200")
DATASETS = 12  # of each archive
MODELS = 150
HERE = Path(__file__).parent


def write_tables(folder: Path, models: Mapping[str, Model], pairs: Iterable[Sequence[str]]) -> None:
    """Accuracies, times and losses that were drawn by chance; the figures mean nothing."""
    draw = np.random.default_rng(0)
    _write_ucr(folder, draw)
    _write_vtab(folder, draw)
    _write_parc(folder, draw)
    _write_times(folder, models, pairs, draw)
    rows = []
    for size in np.geomspace(5e7, 1e10, 8):
        for tokens in np.geomspace(1e9, 1e11, 6):
            loss = 1.8 + 480 / size**0.35 + 2100 / tokens**0.37
            rows.append([size, 6 * size * tokens, loss * np.exp(draw.normal(0, 0.003))])
    _save(folder / "chinchilla/svg_extracted_data.csv", ["Model Size", "Training FLOP", "loss"], rows)


def _write_ucr(folder: Path, draw: np.random.Generator) -> None:
    rows = []
    for name in _names("ucr.csv"):
        level = draw.normal(1.0, 1.0)
        for place, method in enumerate(METHODS):
            for turn in range(2):
                rows.append([method, name, turn, _share(level + 0.4 * place + draw.normal(0, 0.4))])
    columns = ["classifier_name", "dataset_name", "iteration", "accuracy"]
    _save(folder / "ucr/results-ucr-128.csv", columns, rows)


def _write_vtab(folder: Path, draw: np.random.Generator) -> None:
    names = _names("vtab.csv")
    levels = draw.normal(0.3, 1.0, len(names))
    rows: list[list[object]] = [["dataset", *names, *names], ["method", *[""] * 2 * len(names)]]
    for place, tag in enumerate(TAGS):
        few = [100 * _share(level + 0.5 * place + draw.normal(0, 0.4)) for level in levels]
        many = [100 * _share(level + 1.5 + 0.2 * place + draw.normal(0, 0.4)) for level in levels]
        rows.append([tag, *few, *many])
    columns = ["train_examples_if_subset", *["1000"] * len(names), *["full"] * len(names)]
    _save(folder / "vtab/results.csv", columns, rows)


def _write_parc(folder: Path, draw: np.random.Generator) -> None:
    rows = [
        [architecture, source, target, 100 * _share(draw.normal(1.0 + 0.3 * place, 0.4))]
        for target in _names("parc.csv")
        for place, architecture in enumerate(ARCHITECTURES)
        for source in SOURCES
        if source != target
    ]
    columns = ["Architecture", "Source Dataset", "Target Dataset", "Oracle"]
    for file in ("controlled.csv", "all.csv"):
        _save(folder / "parc" / file, columns, rows)


def _write_times(
    folder: Path, models: Mapping[str, Model], pairs: Iterable[Sequence[str]], draw: np.random.Generator
) -> None:
    facts = [
        (model.spec.name, model.spec.facts)
        for name, model in sorted(models.items())
        if name.startswith("timm/") and model.spec.facts and model.spec.facts.activation_bytes
    ]
    chosen = facts[:: max(1, len(facts) // MODELS)]
    files = {INFERRED, *(text.partition("=")[2] for pair in pairs for text in pair)}
    for file in (TRAINED, *sorted(files)):
        kind, factor = ("train", 3.6) if file == TRAINED else ("infer", 1.0)
        rows = []
        for name, fact in chosen:
            seconds = fact.macs / 2e13 + fact.activation_bytes["bf16"] / 2e11
            rate = 1 / (factor * seconds * np.exp(draw.normal(0, 0.1)))
            rows.append([name, rate, 64, 224])
        columns = ["model", f"{kind}_samples_per_sec", f"{kind}_batch_size", f"{kind}_img_size"]
        _save(folder / "timm" / file, columns, rows)


def _names(file: str) -> list[str]:
    return [row["dataset"] for row in read_rows(HERE / file)][:DATASETS]


def _share(value: float) -> float:
    return float(1 / (1 + np.exp(-value)))


def _save(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([columns, *rows])
