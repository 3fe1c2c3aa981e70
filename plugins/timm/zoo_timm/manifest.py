"""Makes `models.json` and `weights.json` from the installed timm.

    python -m zoo_timm.manifest --results results-imagenet.csv

Tracing an architecture takes one to five seconds of a core, all of them the better part of an hour. So
what the manifest has is not traced again under the same release of timm, what is traced goes to a cache at
once, and the manifest is written each 20 of them: a call that is interrupted is repeated, and goes on. It
begins with those that have most weights.
`--limit 20` traces no more than 20, `--only 'resnet*'` no others; the rest has no facts until then.
`results-imagenet.csv` is the table in timm's repository; without it the accuracies stay as they are.
"""

from __future__ import annotations

import argparse
import csv
import re
import signal
import sys
import time
import tomllib
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from types import FrameType
from typing import Any, cast

import msgspec
import timm
import torch
from timm.models import PretrainedCfg

import zoo
import zoo.settings
from zoo.profile import example_inputs, profile
from zoo_timm.build import build, config_of
from zoo_timm.weights import TASK, Row, Table, read_table

HERE = Path(__file__).parent
TIMEOUT_SECONDS = 900
BATCH = 20  # architectures traced between two times that the manifest is written
SIZES = (64, 96, 128, 160, 224)
NO_WIDTH = 1009  # classes: a prime that is no layer's width
SPDX = {
    name.lower(): name
    for name in ("Apache-2.0", "MIT", "BSD-3-Clause", "CC-BY-NC-4.0", "CC-BY-NC-SA-4.0", "CC-BY-4.0")
}
RECIPES = {"cnn": "recipes/cnn.toml", "rnn": "recipes/cnn.toml"}  # all others: transformer.toml
DATASETS = {  # by the number of classes, where it is that of a well-known set
    1000: "ImageNet-1k",
    11221: "ImageNet-21k-P",
    11821: "ImageNet-12k",
    21841: "ImageNet-22k",
    21842: "ImageNet-22k",
    21843: "ImageNet-21k",
}


Results = dict[tuple[str, int, float], float]


class Traced(msgspec.Struct, frozen=True, omit_defaults=True):
    """A line of the cache: what was found out about an architecture by building and tracing it."""

    name: str
    timm: str
    head: tuple[str, ...]
    facts: zoo.Facts | None = None
    image_size: int | None = None
    fault: str = ""
    seconds: float = 0.0


def main(arguments: Sequence[str] | None = None) -> None:
    """Traces what is missing, and writes both files."""
    parser = argparse.ArgumentParser(
        prog="python -m zoo_timm.manifest",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--cache", type=Path, help="what was traced so far; by default in the zoo's folder")
    parser.add_argument("--results", type=Path, help="timm's results-imagenet.csv")
    parser.add_argument("--only", default="*", help="trace only the architectures that this glob matches")
    parser.add_argument("--limit", type=int, help="trace at most so many")
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(1)
    table, names = read_table(), timm.list_models()
    cache = chosen.cache or zoo.settings.home() / "timm-facts.jsonl"
    cache.parent.mkdir(parents=True, exist_ok=True)
    traced = {**read_cache(cache), **recorded(table)}
    results = read_results(chosen.results) if chosen.results else recorded_results(table)
    missing = [name for name in wanted_first(names, table) if fnmatchcase(name, chosen.only)]
    missing = [name for name in missing if name not in traced or traced[name].fault][: chosen.limit]
    _write_models(names, traced)
    made = make_table(timm.list_models(pretrained=True), results)
    _write("weights.json", "weights", msgspec.to_builtins(made))
    for start in range(0, len(missing), BATCH):
        sys.stderr.write(f"{start:,} of {len(missing):,} traced\n")
        traced |= trace_models(missing[start : start + BATCH], cache)
        _write_models(names, traced)


# -- what is known already --------------------------------------------------------------------


def recorded(table: Table) -> dict[str, Traced]:
    """What the manifest has of architectures whose facts are known, if it is of the installed timm."""
    if table.timm != timm.__version__:
        return {}
    return {
        model.name: Traced(
            name=model.name, timm=table.timm, head=model.head, facts=model.facts, image_size=model.image_size
        )
        for model in zoo.read_models(__package__, "models.json")
        if model.facts
    }


def recorded_results(table: Table) -> Results:
    """The accuracies of the weights as the table has them."""
    prepared = table.preprocess
    return {
        (f"{row.model}.{row.tag}", place.height, round(place.crop_pct, 3)): row.top1
        for row in table.weights
        for place in [prepared[row.preprocess]]
        if row.top1 is not None
    }


def read_cache(cache: Path) -> dict[str, Traced]:
    """What was traced under the installed timm; the last line of an architecture counts."""
    lines = cache.read_bytes().splitlines() if cache.exists() else []
    found = [msgspec.json.decode(line, type=Traced) for line in lines]
    return {entry.name: entry for entry in found if entry.timm == timm.__version__}


def wanted_first(names: Sequence[str], table: Table) -> list[str]:
    """The names by how many sets of weights there are, those with most first."""
    counts = Counter(row.model for row in table.weights)
    return sorted(names, key=lambda name: (-counts[name], name))


# -- models -----------------------------------------------------------------------------------


def describe_model(
    name: str, families: Mapping[str, Mapping[str, Any]], traced: Traced | None
) -> dict[str, Any]:
    """The fields of an architecture's `zoo.ModelSpec`."""
    kind = kind_of(name, families)
    family, paper = kind["family"], kind.get("paper", "")
    fields = {
        "name": name,
        "family": family,
        "tasks": [TASK],
        "builder": "zoo_timm.build:build",
        "adapter": "zoo_timm.adapt:adapt",
        "options": {"architecture": name},
        "recipes": {"*": RECIPES.get(family, "recipes/transformer.toml")},
        "reference": reference(name),
        "facts": traced.facts if traced else None,
        "head": traced.head if traced else classifiers(config_of(name)),
        "image_size": traced.image_size if traced else None,
        "group": kind.get("group", kind["module"]),
        "summary": kind["summary"],
        "paper": f"https://arxiv.org/abs/{paper}" if paper and "/" not in paper else paper,
    }
    told = {key: msgspec.to_builtins(value) for key, value in fields.items() if value}
    return told if kind.get("recommend", True) else {**told, "recommend": False}


def read_families() -> dict[str, dict[str, Any]]:
    """What `families.toml` says of each of timm's source files."""
    return tomllib.loads((HERE / "families.toml").read_text())


def kind_of(name: str, families: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Family, summary and paper of an architecture: its file's, and over them its variant's."""
    module = timm.model_entrypoint(name).__module__.rpartition(".")[2]
    kind = {"module": module} | {key: value for key, value in families[module].items() if key != "variant"}
    for variant in families[module].get("variant", ()):
        if fnmatchcase(name, variant["names"]):
            kind |= {key: value for key, value in variant.items() if key != "names"}
    return kind


def reference(name: str) -> zoo.Problem:
    """The problem of timm's default configuration; 1,000 classes where that has none."""
    return problem_of(config_of(name), classes=1000)


def problem_of(cfg: PretrainedCfg, classes: int) -> zoo.Problem:
    """The problem of a configuration; `classes` stands in where it has none."""
    channels, height, width = cfg.input_size
    return zoo.Problem(
        task=TASK,
        input=zoo.ImageInput(channels=channels, height=height, width=width),
        output=zoo.Classes(count=cfg.num_classes or classes),
    )


def classifiers(cfg: PretrainedCfg) -> tuple[str, ...]:
    """The modules that timm itself names as those that depend on the number of classes."""
    return (cfg.classifier,) if isinstance(cfg.classifier, str) else tuple(cfg.classifier or ())


# -- tracing ----------------------------------------------------------------------------------


def trace_models(names: Sequence[str], cache: Path) -> dict[str, Traced]:
    """Whatever of the names the cache has, and the rest, which is added to it one by one."""
    traced = read_cache(cache)
    missing = [name for name in names if name not in traced or traced[name].fault]
    with cache.open("ab") as file:
        for number, name in enumerate(missing, start=1):
            traced[name] = entry = trace(name)
            file.write(msgspec.json.encode(entry) + b"\n")
            file.flush()
            what = entry.fault or f"{entry.seconds:.1f} s"
            sys.stderr.write(f"{number}/{len(missing)} {name}: {what}\n")
    return traced


def trace(name: str) -> Traced:
    """Facts and head of an architecture; its fault where it cannot be traced, or not in time."""
    started = time.perf_counter()
    problem, facts, fault = reference(name), None, ""
    try:
        with warnings.catch_warnings(action="ignore"), _time_limit(TIMEOUT_SECONDS):
            facts = profile(
                lambda: build(problem, architecture=name), lambda batch: example_inputs(problem, batch)
            )
    except (zoo.ZooError, TimeoutError) as error:
        fault = str(error)
    return Traced(
        name=name,
        timm=timm.__version__,
        head=find_head(name),
        facts=facts,
        image_size=find_only_size(name),
        fault=fault,
        seconds=round(time.perf_counter() - started, 1),
    )


def find_head(name: str) -> tuple[str, ...]:
    """The modules whose tensors have a row for each class."""
    problem = reference(name).replace(output=zoo.Classes(count=NO_WIDTH))
    with torch.device("meta"), warnings.catch_warnings(action="ignore"):
        state = build(problem, architecture=name).state_dict()
    rows = [tensor for tensor, values in state.items() if NO_WIDTH in values.shape]
    return tuple(dict.fromkeys(tensor.rpartition(".")[0] for tensor in rows))


def find_only_size(name: str) -> int | None:
    """The default size of an architecture that can do none of the `SIZES` besides."""
    own: int = config_of(name).input_size[1]
    return None if any(_can_do(name, size) for size in SIZES if size != own) else own


def _can_do(name: str, size: int) -> bool:
    problem = reference(name)
    resized = problem.replace(input=zoo.ImageInput(channels=3, height=size, width=size))
    try:
        with torch.device("meta"), warnings.catch_warnings(action="ignore"):
            build(resized, architecture=name)
    except zoo.SpecError:
        return False
    return True


@contextmanager
def _time_limit(seconds: int) -> Iterator[None]:
    """Raises `TimeoutError` in what takes longer; for the main thread alone."""

    def stop(signum: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"not traced within {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


# -- weights ----------------------------------------------------------------------------------


def make_table(names: Sequence[str], results: Results) -> Table:
    """The weights that are on the hub in timm's own form: in a repository of their own name.

    Elsewhere (the encoders inside of other people's checkpoints, weights behind plain addresses)
    files need renaming that only timm's loader knows, so those are left out.
    """
    preprocess: dict[bytes, int] = {}
    problems: dict[bytes, int] = {}
    rows = []
    for name in names:
        cfg = config_of(name)
        owner, _, repository = (cfg.hf_hub_id or "").partition("/")
        if repository != name:
            continue
        model, _, tag = name.partition(".")
        prepared = preprocess_of(cfg)
        row = Row(
            model=model,
            tag=tag,
            preprocess=_place(preprocess, prepared),
            problem=_place(problems, problem_of(cfg, classes=1)),
            license=license_of(cfg),
            dataset=DATASETS.get(cfg.num_classes or 0, ""),
            top1=results.get((name, prepared.height, round(prepared.crop_pct, 3))),
            owner=owner,
        )
        rows.append(row)
    return Table(
        timm=timm.__version__,
        preprocess=[msgspec.json.decode(key, type=zoo.ImagePreprocess) for key in preprocess],
        problems=[msgspec.json.decode(key, type=zoo.Problem) for key in problems],
        weights=rows,
    )


def preprocess_of(cfg: PretrainedCfg) -> zoo.ImagePreprocess:
    """How images are prepared for the weights of a configuration."""
    channels, height, width = cfg.input_size
    return zoo.ImagePreprocess(
        channels=channels,
        height=height,
        width=width,
        mean=cfg.mean,
        std=cfg.std,
        interpolation=cast(Any, cfg.interpolation),  # checked by the record
        crop_pct=min(1.0, cfg.crop_pct),
    )


def license_of(cfg: PretrainedCfg) -> str:
    """The licence's SPDX name where it has one; what the hub calls it otherwise."""
    name = cfg.license or ""
    return SPDX.get(name, name)


def read_results(path: Path) -> Results:
    """The share of ImageNet-1k that weights got right, by their name, the images' height and their crop."""
    with path.open(newline="") as file:
        return {
            (row["model"], int(row["img_size"]), float(row["crop_pct"])): round(float(row["top1"]) / 100, 5)
            for row in csv.DictReader(file)
        }


def _write_models(names: Sequence[str], traced: Mapping[str, Traced]) -> None:
    families = read_families()
    models = [describe_model(name, families, traced.get(name)) for name in names]
    _write("models.json", "models", {"models": models})


def _place(known: dict[bytes, int], record: zoo.ImagePreprocess | zoo.Problem) -> int:
    return known.setdefault(msgspec.json.encode(record), len(known))


def _write(file: str, rows: str, document: Mapping[str, Any]) -> None:
    """JSON with a line for each row, so that a new release of timm shows as the lines it changes."""
    lines = b",\n".join(map(msgspec.json.encode, document[rows]))
    rest = msgspec.json.encode({key: value for key, value in document.items() if key != rows})
    start = re.sub(rb"\}$", b"," if len(rest) > 2 else b"", rest)
    partial = HERE / f"{file}.partial"
    partial.write_bytes(start + f'"{rows}":[\n'.encode() + lines + b"\n]}\n")
    partial.replace(HERE / file)  # in one go: others read it meanwhile


if __name__ == "__main__":
    main()
