"""A run folder: written by the trainer, read by everything else.

run.json           the record: problem, recipe, data, versions, results
metrics.jsonl      one line for each evaluation
model.safetensors  the best weights so far, with their receipt in the header
tokenizer.json     the vocabulary that texts are read with, where it was trained
config.json        what Hugging Face tools look for
README.md          a model card
last/              everything needed to go on exactly where it stopped
"""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

from zoo import paths
from zoo.errors import RunError
from zoo.specs import Preprocess, Problem, Recipe, Record, TaskSpec, TextPreprocess, to_builtins

RECORD, WEIGHTS, METRICS = "run.json", "model.safetensors", "metrics.jsonl"
TOKENIZER, CONFIG, CARD = "tokenizer.json", "config.json", "README.md"


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
    precision: str = "fp32"
    versions: dict[str, str] = {}
    best: dict[str, float] = {}


class RunRecord(Receipt, frozen=True, kw_only=True):
    """What `run.json` holds; `source` is the name or path of the data, `data` tells what was read there."""

    schema: int = 1
    source: str = ""
    state: Literal["running", "interrupted", "finished"] = "running"
    steps: int = 0
    seconds: float = 0.0
    peak_memory_bytes: int | None = None
    metrics: dict[str, float] = {}
    baseline: dict[str, Any] = {}

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

    def check_finished(self) -> None:
        """Raises `RunError` while there is more to train."""
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
        return {"schema": self.record.schema, **to_builtins(_without_tokenizer(self.record))}

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
    found = hashlib.sha256(content).hexdigest()
    if found != preprocess.sha256:
        raise RunError(
            f"{str(path)!r} is damaged, or another run's: its sha256 is {found[:12]}..., run.json says "
            f"{preprocess.sha256[:12]}...; put the run's own back"
        )
    return record.replace(preprocess=preprocess.replace(definition=content.decode()))


def _without_tokenizer(record: RunRecord) -> RunRecord:
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


def write_card(run: Run, task: TaskSpec) -> None:
    """Writes `README.md` and `config.json`, which make the folder a Hugging Face repository."""
    record = run.record
    config = {"library_name": "torch-zoo", "zoo": _without_tokenizer(record).receipt()}
    write_whole(run.path / CONFIG, msgspec.json.format(msgspec.json.encode(config), indent=2) + b"\n")
    write_whole(run.path / CARD, _card(record, task).encode())


def _card(record: RunRecord, task: TaskSpec) -> str:
    data = record.data.get("name", "")
    baseline = record.baseline.get("metrics", {})
    rows = "".join(
        f"| {name} | {value:.4f} | {_cell(baseline.get(name))} |\n" for name, value in record.metrics.items()
    )
    changed = msgspec.toml.encode(to_builtins(record.recipe)).decode()
    return f"""---
library_name: torch-zoo
pipeline_tag: {_PIPELINES.get(task.name, "other")}
tags: [torch-zoo]
---

# {record.model} trained on {data}

{task.summary.capitalize()}: `{task.forward}`.

| metric on the test split | this model | {record.baseline.get("name", "baseline")} |
|---|---|---|
{rows}
Trained for {record.steps:,} steps in {record.seconds:,.0f} s on {record.device}, {record.precision}.

```python
import zoo

model = zoo.load("PATH TO THIS FOLDER")
```

## Recipe

Settings that differ from the defaults:

```toml
{changed}```
"""


_PIPELINES = {
    "image-classification": "image-classification",
    "text-classification": "text-classification",
    "language-modeling": "text-generation",
    "seq2seq": "text2text-generation",
    "forecasting": "time-series-forecasting",
}


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
