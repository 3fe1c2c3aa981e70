"""Manifests: a plugin's records as TOML or JSON files inside its package.

TOML takes thirty times as long to read as JSON, which `zoo list` would feel where there are many plugins. So
what a TOML manifest says is kept as JSON in the user's cache folder, and read from there while the manifest
is the same.
"""

from __future__ import annotations

import contextlib
import os
import pkgutil
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any, Generic, TypeVar

import msgspec

import zoo
from zoo import settings
from zoo.errors import SpecError
from zoo.recipefile import RecipeFile, parse_recipe
from zoo.specs import (
    DatasetSpec,
    DeviceSpec,
    Evidence,
    Facts,
    ModelSpec,
    Record,
    WeightsSpec,
    convert,
)

R = TypeVar("R", bound=Record)


class _Kept(msgspec.Struct, Generic[R]):
    """What a manifest of this text says, as this version of zoo reads it."""

    version: str
    text: str
    records: list[R]


def read_models(package: str, file: str) -> list[ModelSpec]:
    """The `model` records of a manifest in `package`.

    Where a model has no `facts`, they are taken from `facts.json` beside the manifest, if there.
    """
    models = read_records(package, file, "model", ModelSpec)
    if all(model.facts for model in models):
        return models
    beside = str(PurePosixPath(file).with_name("facts.json"))
    content = _content(package, beside)
    facts: dict[str, Facts] = {}
    if content is not None:
        where = f"{package}/{beside}"
        facts = convert(_decode(content, where), dict[str, Facts], where=where)
    return [
        model if model.facts or model.name not in facts else model.replace(facts=facts[model.name])
        for model in models
    ]


def read_weights(package: str, file: str) -> list[WeightsSpec]:
    """The `weights` records of a manifest in `package`."""
    return read_records(package, file, "weights", WeightsSpec)


def read_datasets(package: str, file: str) -> list[DatasetSpec]:
    """The `dataset` records of a manifest in `package`."""
    return read_records(package, file, "dataset", DatasetSpec)


def read_devices(package: str, file: str) -> list[DeviceSpec]:
    """The `device` records of a manifest in `package`."""
    return read_records(package, file, "device", DeviceSpec)


def read_evidence(package: str, file: str) -> list[Evidence]:
    """The `evidence` records of a manifest in `package`."""
    return read_records(package, file, "evidence", Evidence)


def read_recipe(package: str, file: str) -> RecipeFile:
    """The recipe in a TOML or JSON file in `package`; raises `SpecError` with every fault."""
    return _read_whole(package, file, RecipeFile, parse_recipe)


def read_record(package: str, file: str, type: type[R]) -> R:
    """All that a TOML or JSON file in `package` says, as one record; raises `SpecError` with every fault."""
    return _read_whole(package, file, type, lambda document, where: convert(document, type, where=where))


def _read_whole(package: str, file: str, type: type[R], parse: Callable[[Any, str], R]) -> R:
    where, content = f"{package}/{file}", _content(package, file)
    if content is None:
        raise SpecError(where, ["no such file in the package"])
    kept = _recall(where, content, type)
    if kept:
        return kept[0]
    record = parse(_decode(content, where), where)
    _keep(where, content, [record])
    return record


def read_records(package: str, file: str, kind: str, type: type[R]) -> list[R]:
    """The list under `kind` (or its plural) of a TOML or JSON file in `package`, as records.

    Raises `SpecError` that names the file, the record and every fault.
    """
    content = _content(package, file)
    where = f"{package}/{file}"
    if content is None:
        raise SpecError(where, ["no such file in the package"])
    if file.endswith(".json"):
        try:
            tables = msgspec.json.decode(content, type=dict[str, list[type]])  # type: ignore[valid-type]
        except msgspec.MsgspecError:
            tables = {}  # read again below, slowly, for every fault
        if len(tables) == 1 and tables.keys() <= {kind, f"{kind}s"}:
            return next(iter(tables.values()))
    if (kept := _recall(where, content, type)) is not None:
        return kept
    records = _read_slowly(content, where, kind, type)
    _keep(where, content, records)
    return records


def _read_slowly(content: bytes, where: str, kind: str, type: type[R]) -> list[R]:
    """The records one by one, with every fault of each."""
    document = _decode(content, where)
    rows = document.pop(kind, None) if isinstance(document, dict) else None
    if rows is None and isinstance(document, dict):
        rows = document.pop(f"{kind}s", None)
    if not isinstance(rows, list):
        raise SpecError(where, [f"expected a list of {kind!r} records"])
    if document:
        raise SpecError(where, [f"unknown key {key!r}; only {kind!r} belongs here" for key in document])
    faults: list[str] = []
    records: list[R] = []
    for number, row in enumerate(rows, start=1):
        name = row.get("name", row.get("tag", number)) if isinstance(row, dict) else number
        try:
            records.append(convert(row, type, where=f"{kind} {name}"))
        except SpecError as error:
            faults.append(str(error))
    if faults:
        raise SpecError(where, faults)
    return records


def _recall(where: str, content: bytes, type: type[R]) -> list[R] | None:
    """The records of a TOML manifest that has been read before and has not changed since."""
    if where.endswith(".json"):
        return None
    try:
        kept = msgspec.json.decode(_place(where).read_bytes(), type=_Kept[type])  # type: ignore[valid-type]
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError, SpecError):
        return None
    same = kept.version == zoo.__version__ and kept.text.encode() == content
    return kept.records if same else None


def _keep(where: str, content: bytes, records: list[R]) -> None:
    """Keeps what TOML said; where that is not possible, it is read anew the next time."""
    if where.endswith(".json"):
        return
    path = _place(where)
    partial = path.with_suffix(f".{os.getpid()}")
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(msgspec.json.encode(_Kept(zoo.__version__, content.decode(), records)))
        partial.replace(path)


def _place(where: str) -> Path:
    return settings.home() / "manifests" / f"{where.replace('/', '-')}.json"


def _decode(content: bytes, where: str) -> Any:
    try:
        return msgspec.json.decode(content) if where.endswith(".json") else msgspec.toml.decode(content)
    except ValueError as error:
        raise SpecError(where, [f"cannot be read: {error}"]) from None


def _content(package: str, file: str) -> bytes | None:
    """A file's bytes by the package's own loader, so that packages inside archives work too."""
    if not package:
        raise SpecError(file, ["no package to read it from; a plugin that is one module gives __name__"])
    try:
        return pkgutil.get_data(package, file)
    except OSError:
        return None
