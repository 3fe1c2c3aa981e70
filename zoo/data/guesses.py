"""What the names and values of columns suggest, where the user does not say what they are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from zoo.data import images
from zoo.data.table import BLOCK, Table, Values, as_list, is_numeric
from zoo.errors import DataError

NAMES = {  # of columns that speak for themselves, likeliest first
    "image": ("image", "images", "img", "file_name", "filename", "file", "path", "image_path", "x"),
    "text": ("text", "sentence", "document", "content"),
    "label": ("label", "labels", "class", "category", "y"),
    "source": ("source", "src"),
    "target": ("target", "tgt"),
    "series": ("series", "values", "x", "data"),
    "id": ("id", "series_id", "unique_id"),
    "time": ("time", "timestamp", "date", "datetime", "ds", "step", "t"),
    "value": ("value", "y"),
    "split": ("split", "subset"),
}
NO_NUMBERS = ("time", "id", "label", "split", "group")  # roles whose numbers are no measurements
ROW_NUMBERS = {*NAMES["id"], "index", "unnamed: 0", ""}
EXPECTED = (
    "text and label, source and target, text alone, image and label, series and label, "
    "or a time and its values"
)
Columns = Mapping[str, tuple[str, ...]]


def suggest(table: Table, known: Columns) -> dict[str, tuple[str, ...]]:
    """Roles of the columns that have none yet, by their names, where they hold what the role wants."""
    found: dict[str, tuple[str, ...]] = {}
    lower = {name.lower(): name for name in reversed(_left(table, known))}
    for role, names in NAMES.items():
        for name in (lower[name] for name in names if name in lower and role not in known):
            if _suits(table, role, name) and (name,) not in found.values():
                found[role] = (name,)
                break
    return found


def infer_task(table: Table, roles: Columns) -> str:
    """The task that the roles make likeliest; raises `DataError` where they make none so."""
    left = _left(table, roles)
    if "source" in roles and "target" in roles:
        return "seq2seq"
    if "image" in roles:
        return "image-classification"
    if "text" in roles and "label" in roles:
        return "text-classification"
    if "text" in roles and left:
        raise DataError(
            f"{table.uri!r} has texts and the columns {listed(left)}; if one is the label say "
            "--columns label=NAME, else --task language-modeling"
        )
    if "text" in roles:
        return "language-modeling"
    measured = _measurements(table, roles)
    if "label" in roles and ("series" in roles or {"id", "value"} <= roles.keys() or _are_steps(measured)):
        return "series-classification"
    alone = len(table.columns) == len(measured) == 1
    if "label" not in roles and (alone or "value" in roles or ("time" in roles and measured)):
        return "forecasting"
    hint = (
        "; if its numbers are steps of series, say --task series-classification" if len(measured) > 1 else ""
    )
    raise DataError(
        f"{table.uri!r} has the columns {listed(table.columns)}; expected {EXPECTED}{hint}; say which is "
        "what: --columns text=NAME,label=NAME"
    )


def complete(
    table: Table, task: str, needed: Sequence[str], roles: Columns, known: Columns
) -> dict[str, tuple[str, ...]]:
    """The roles with those that the task needs besides: all measurements, or the only column left."""
    found = dict(roles)
    if task == "forecasting" and "value" not in found:
        found["value"] = _measurements(table, roles)
    if task == "series-classification" and "series" not in found:
        long = {"id", "time", "value"} <= found.keys()
        found["series"] = found["value"] if long else _measurements(table, roles)
    for role in needed:
        if found.get(role):
            continue
        taken = {other: found[other] for other in (*needed, *known) if found.get(other)}
        left = _left(table, taken)
        if role in ("text", "source", "target"):
            left = [name for name in left if isinstance(table.first(name), str)]
        found[role] = tuple(left) if len(left) == 1 else ()
    return found


def listed(names: Iterable[str]) -> str:
    """Names one after the other, the middle of many left out."""
    names = list(names)
    return ", ".join(names) if len(names) <= 12 else f"{', '.join(names[:10])}, ... ({len(names):,} in all)"


def _left(table: Table, roles: Columns) -> list[str]:
    taken = {name for names in roles.values() for name in names}
    return [name for name in table.columns if name not in taken]


def _suits(table: Table, role: str, column: str) -> bool:
    """Whether a column of that name holds what the role wants."""
    first, values = table.first(column), next(iter(table.splits.values()))[column]
    match role:
        case "image":
            return _is_image(values, first)
        case "series":
            is_list = isinstance(first, list) or getattr(values, "ndim", 1) in (2, 3)
            return is_list and not _is_image(values, first)
        case "value":
            return is_numeric(values)
        case "text" | "source" | "target":
            return isinstance(first, str)
        case "label" if column.lower() == "y":  # in tables, the value of a series more often than a class
            return isinstance(values, np.ndarray)
        case "id":
            return _repeats(values)
    return not isinstance(first, dict)


def _is_image(values: Values, first: Any) -> bool:
    if isinstance(values, np.ndarray) and values.ndim > 1:
        return values.ndim == 4 or (values.ndim == 3 and values.dtype == np.uint8)
    if isinstance(first, dict):
        return "bytes" in first
    return isinstance(first, str | Path) and Path(first).suffix.lower() in images.SUFFIXES


def _repeats(values: Values) -> bool:
    """Whether most values come more than once, as the name of a series does and a row's number does not."""
    some = list(map(str, as_list(values[:BLOCK])))
    return 2 * len(set(some)) <= len(some)


def _measurements(table: Table, roles: Columns) -> tuple[str, ...]:
    """The columns of numbers that are no time, name, class or number of a row."""
    first = next(iter(table.splits.values()))
    left = _left(table, {role: names for role, names in roles.items() if role in NO_NUMBERS})
    return tuple(name for name in left if name.lower() not in ROW_NUMBERS and _holds_numbers(first[name]))


def _are_steps(names: Sequence[str]) -> bool:
    """Whether columns are numbered as time steps are: 0, 1, 2 or t0, t1, t2."""
    stems = {name.rstrip("0123456789") for name in names}
    return len(names) > 1 and len(stems) == 1 and all(name[-1:].isdigit() for name in names)


def _holds_numbers(values: Values) -> bool:
    if isinstance(values, np.ndarray):
        return values.ndim <= 2 and values.dtype.kind in "fiu"
    nested = isinstance(values, pa.ChunkedArray) and pa.types.is_nested(values.type)
    return not nested and is_numeric(values)
