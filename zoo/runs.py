"""A run folder: written by the trainer, read by everything else.

run.json           the record: problem, recipe, data, versions, results
metrics.jsonl      one line for each evaluation
model.safetensors  the best weights so far, with their receipt in the header
tokenizer.json     the vocabulary that texts are read with, where it was trained
config.json        what Hugging Face tools look for
README.md          a model card, with curves.png
last/              everything needed to go on exactly where it stopped
"""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

from zoo import paths
from zoo.errors import RunError
from zoo.specs import Precision, Preprocess, Problem, Recipe, Record, TextPreprocess, to_builtins

RECORD, WEIGHTS, METRICS = "run.json", "model.safetensors", "metrics.jsonl"
LAST, LOCK = "last", ".lock"  # its folder, and the file in it that the process which trains holds
TOKENIZER, CONFIG, CARD, CURVES = "tokenizer.json", "config.json", "README.md", "curves.png"


class Receipt(Record, frozen=True, kw_only=True):
    """What weights carry in their header: how they were trained and how they are to be fed."""

    model: str
    options: dict[str, Any] = {}
    problem: Problem
    preprocess: Preprocess
    labels: tuple[str, ...] = ()
    recipe: Recipe
    data: dict[str, Any] = {}
    weights: str = ""
    device: str = ""
    processes: int = 1
    sharded: bool = False
    precision: Precision = "fp32"
    compiled: bool = False
    versions: dict[str, str] = {}
    best: dict[str, float] = {}


class RunRecord(Receipt, frozen=True, kw_only=True):
    """What `run.json` holds; `source` is the name or path of the data, `data` tells what was read there.

    `predicted` is what `zoo.recommender.prospect` said before the first step. A `trial` has ended, and was
    judged on the validation split alone.
    """

    schema: int = 1
    source: str = ""
    state: Literal["running", "interrupted", "finished", "trial"] = "running"
    steps: int = 0
    seconds: float = 0.0
    peak_memory_bytes: int | None = None
    metrics: dict[str, float] = {}
    baseline: dict[str, Any] = {}
    predicted: dict[str, Any] = {}

    def receipt(self) -> dict[str, Any]:
        """What the weights' header carries: enough to train and to use them again."""
        told = to_builtins(self)
        return {name: told[name] for name in Receipt.__struct_fields__ if name in told}


@dataclass(frozen=True)
class Run:
    """A run folder; `Run.open` checks that it is one."""

    path: Path
    record: RunRecord

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Run:
        """The run in that folder; raises `RunError` where there is none, or half of one."""
        folder = Path(path)
        return cls(folder, _with_tokenizer(_read_record(folder), folder))

    @property
    def weights_path(self) -> Path:
        """The best weights; raises `RunError` while there are none."""
        path = self.path / WEIGHTS
        if not path.is_file():
            raise RunError(
                f"{str(self.path)!r} has no weights yet; go on with: zoo train --resume {self.path}"
            )
        return path

    def check_no_trial(self) -> None:
        """Raises `RunError` where no more than a validation score was asked."""
        if self.record.state == "trial":
            raise RunError(
                f"{str(self.path)!r} is a trial, which nothing follows from; train the model anew: "
                f"zoo train {self.record.model} --data {self.record.source}"
            )

    def check_finished(self) -> None:
        """Raises `RunError` while there is more to train."""
        self.check_no_trial()
        if self.record.state != "finished":
            raise RunError(
                f"{str(self.path)!r} is not finished; go on with it: zoo train --resume {self.path}"
            )

    @property
    def history(self) -> list[dict[str, Any]]:
        """The lines of `metrics.jsonl`, the first evaluation first."""
        path = self.path / METRICS
        if not path.exists():
            return []
        whole, _, _ = path.read_bytes().rpartition(b"\n")  # a line that was cut short is no line
        return [msgspec.json.decode(line) for line in whole.splitlines() if line.strip()]

    @property
    def metrics(self) -> Mapping[str, float]:
        """What the best weights reached on the test split."""
        return self.record.metrics

    def document(self) -> dict[str, Any]:
        """The record as `run.json` has it."""
        return {"schema": self.record.schema, **to_builtins(without_tokenizer(self.record))}

    def save(self, record: RunRecord) -> Run:
        """Writes the record in one go and returns the run with it."""
        run = Run(self.path, record)
        definition = getattr(record.preprocess, "definition", "")
        if definition and not (self.path / TOKENIZER).exists():
            write_whole(self.path / TOKENIZER, definition.encode())
        content = msgspec.json.format(msgspec.json.encode(run.document()), indent=2)
        write_whole(self.path / RECORD, content + b"\n")
        return run

    def __str__(self) -> str:
        found = ", ".join(f"{name} {value:.4f}" for name, value in self.record.metrics.items())
        return f"{self.path} ({self.record.model}, {self.record.state}{': ' + found if found else ''})"


def has_tokenizer(folder: Path) -> bool:
    """Whether the run of a `run.json` has a `tokenizer.json` beside it; raises `RunError`."""
    return getattr(_read_record(folder).preprocess, "sha256", None) is not None


def _read_record(folder: Path) -> RunRecord:
    try:
        content = (folder / RECORD).read_bytes()
    except FileNotFoundError:
        what = "has no run.json, so it is no run folder" if folder.is_dir() else "does not exist"
        raise RunError(f"{str(folder)!r} {what}") from None
    except OSError as error:
        raise RunError(f"{str(folder / RECORD)!r} cannot be read: {error.strerror}") from None
    try:
        return msgspec.json.decode(content, type=RunRecord)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise RunError(f"{str(folder / RECORD)!r} is damaged: {error}") from None


def _with_tokenizer(record: RunRecord, folder: Path) -> RunRecord:
    """The record with the definition of its tokenizer, which lies beside it; raises `RunError`."""
    from hashlib import sha256  # slow to import, and of no use to most commands

    preprocess, path = record.preprocess, folder / TOKENIZER
    if not isinstance(preprocess, TextPreprocess) or preprocess.sha256 is None:
        return record
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RunError(
            f"{str(path)!r} cannot be read: {error.strerror}; the run's texts became tokens by it, so put it "
            "back"
        ) from None
    found = sha256(content).hexdigest()
    if found != preprocess.sha256:
        raise RunError(
            f"{str(path)!r} is damaged, or another run's: its sha256 is {found[:12]}..., run.json says "
            f"{preprocess.sha256[:12]}...; put the run's own back"
        )
    return record.replace(preprocess=preprocess.replace(definition=content.decode()))


def without_tokenizer(record: RunRecord) -> RunRecord:
    """The record without the definition of its tokenizer, which lies beside it."""
    preprocess = record.preprocess
    if isinstance(preprocess, TextPreprocess) and preprocess.definition:
        return record.replace(preprocess=preprocess.replace(definition=""))
    return record


def check_free(path: Path) -> None:
    """Raises `RunError` where a new run folder would meet something that is there already."""
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        go_on = f", or go on with: zoo train --resume {path}" if (path / RECORD).exists() else ""
        raise RunError(f"{str(path)!r} exists already; choose another --output{go_on}")


def create_folder(path: Path) -> None:
    """Makes a new, empty run folder; raises `RunError` where one is, or where none can be made."""
    check_free(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = path / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise RunError(
            f"{str(path)!r} cannot be written: {error.strerror}; choose another --output"
        ) from None


def free_folder(parent: Path, name: str) -> Path:
    """The first of `name`, `name-2`, `name-3`, ... that does not exist in `parent`."""
    number = 1
    while (path := parent / (name if number == 1 else f"{name}-{number}")).exists():
        number += 1
    return path


def write_whole(path: Path, content: bytes) -> None:
    """Writes a file of a run in one go; raises `RunError` where that cannot be done."""
    try:
        paths.write_whole(path, content)
    except OSError as error:
        raise RunError(f"{str(path)!r} cannot be written: {error.strerror}") from None


def versions() -> dict[str, str]:
    """The versions that a result may depend on."""
    from importlib import metadata  # slow to import

    names = ("torch-zoo", "torch", "timm", "accelerate", "numpy")
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in names}}
