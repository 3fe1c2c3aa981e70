"""Many runs: found below a folder, laid beside one another, removed."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from zoo.errors import RunError
from zoo.locks import is_free
from zoo.runs import CARD, CONFIG, CURVES, LAST, LOCK, METRICS, RECORD, TOKENIZER, WEIGHTS, Run
from zoo.specs import as_dict

WRITTEN = {RECORD, WEIGHTS, METRICS, TOKENIZER, CONFIG, CARD, CURVES, LAST, "tensorboard"}  # by a training
GENERATOR = b'<meta name="generator" content="torch-zoo">'
BEGINNING = 1000  # bytes of a page in which that stands
LEVELS = "▁▂▃▄▅▆▇█"
SPARK = 40  # characters of a curve in a line


def find_runs(folder: Path) -> tuple[list[Run], list[str]]:
    """The runs below `folder`, the one that was written last at the end, and why others cannot be read.

    Raises `RunError` where there is no such folder.
    """
    if not folder.is_dir():
        raise RunError(f"{str(folder)!r} is no folder; give one that holds run folders")
    runs, faults = [], []
    for path in sorted(folder.rglob(RECORD), key=lambda path: (path.stat().st_mtime, path)):
        try:
            runs.append(Run.open(path.parent))
        except RunError as error:
            faults.append(str(error))
    return runs, faults


def differences(runs: Sequence[Run]) -> dict[str, list[Any]]:
    """What is not the same in all runs, by setting: the model, its options, the data, the recipe, versions.

    A value for each run, None where a run has no such setting.
    """
    told = [_settings(run) for run in runs]
    names = dict.fromkeys(name for settings in told for name in settings)
    values = {name: [settings.get(name) for settings in told] for name in names}
    return {name: each for name, each in values.items() if any(value != each[0] for value in each)}


def _settings(run: Run) -> dict[str, Any]:
    record = run.record
    plain = {
        "model": record.model,
        "weights": record.weights,
        "data": record.data.get("name"),
        "fingerprint": record.data.get("fingerprint"),
        "samples": record.problem.samples,
        "device": record.device,
        "processes": record.processes,
        "precision": record.precision,
        "compiled": record.compiled,
    }
    nested: Mapping[str, Mapping[str, Any]] = {
        "": as_dict(record.recipe),
        "option ": record.options,
        "version ": record.versions,
    }
    more = {f"{kind}{name}": value for kind, values in nested.items() for name, value in values.items()}
    return {**plain, **more}


def spark(values: Sequence[float]) -> str:
    """A curve in one line: at most `SPARK` bars between the lowest and the highest value."""
    if not values:
        return ""
    count = min(SPARK, len(values))
    shown = [values[round(place * (len(values) - 1) / max(1, count - 1))] for place in range(count)]
    low, high = min(shown), max(shown)
    scale = (len(LEVELS) - 1) / (high - low) if high > low else 0.0
    return "".join(LEVELS[round((value - low) * scale)] for value in shown)


def remove_run(path: Path) -> int:
    """Deletes a run folder and gives the bytes that are free now.

    Raises `RunError` where it is no run folder, is being trained, or holds what neither a training wrote nor
    is a run's report.
    """
    run = Run.open(path)
    if not is_free(run.path / LAST / LOCK):
        raise RunError(f"{str(path)!r} is being trained by another process; let it end")
    foreign = sorted(each.name for each in run.path.iterdir() if not _is_ours(each))
    if foreign:
        raise RunError(f"{str(path)!r} holds {foreign[0]!r}, which no training wrote; move that first")
    size = size_of(run.path)
    try:
        shutil.rmtree(run.path)
    except OSError as error:
        raise RunError(f"{str(path)!r} cannot be removed: {error.strerror}") from None
    return size


def _is_ours(path: Path) -> bool:
    """Whether a training wrote it, or it is the report of a run, which says so at its beginning."""
    if path.name in WRITTEN:
        return True
    if path.suffix != ".html" or not path.is_file():
        return False
    with path.open("rb") as file:
        return GENERATOR in file.read(BEGINNING)


def size_of(folder: Path) -> int:
    """Bytes of all files below it."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
