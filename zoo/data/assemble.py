"""A table and the roles of its columns as a data set."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from zoo.data.classes import read_classes
from zoo.data.dataset import SPLITS, Dataset, Reading
from zoo.data.forecasts import read_forecasts
from zoo.data.language import read_language, read_pairs
from zoo.data.request import Request, some
from zoo.data.roles import Roles
from zoo.data.table import ALIASES, Table, Texts, Values, as_texts, as_words
from zoo.errors import DataError

READERS = {"forecasting": read_forecasts, "language-modeling": read_language, "seq2seq": read_pairs}
TEXTS = ("text", "source", "target")


def assemble(table: Table, roles: Roles, request: Request) -> Dataset:
    """The data set: unusable samples left out, classes named, splits made; raises `DataError`."""
    if roles.task != "forecasting" and {"history", "horizon"} & request.options.keys():
        raise DataError(f"--history and --horizon are for forecasting, not for {roles.task}; leave them out")
    table = _by_split_column(table, roles)
    parts = READERS.get(roles.task, read_classes)(table, roles, request)
    log = request.log
    reading = Reading(
        kind=table.kind,
        told=(*table.told, *dict.fromkeys(log.told)),
        warnings=(*log.told_skips(), *log.warnings),
        skipped=tuple(log.skipped),
        total=log.total,
        split=parts.split,
        options=request.options,
    )
    return Dataset(
        name=table.name, problem=parts.problem, splits=parts.splits, season=parts.season, reading=reading
    )


def _by_split_column(table: Table, roles: Roles) -> Table:
    """The parts that a column `split` names, where there is one."""
    if "split" not in roles or set(table.splits) != {""}:
        return table
    columns, column = table.splits[""], roles.one("split")
    names = as_words(columns[column], _split_name)
    strange = sorted(set(names.words) - set(SPLITS))
    if strange:
        raise DataError(f"{table.uri!r}: column {column!r} holds {some(strange)}; known: {', '.join(SPLITS)}")
    rows = {
        split: np.flatnonzero(names.codes == names.words.index(split))
        for split in SPLITS
        if split in names.words
    }
    texts = {roles.one(role) for role in TEXTS if role in roles}

    def take(name: str, chosen: NDArray[np.int64]) -> Values:
        if name in texts:  # which may be too large to be copied
            return Texts(as_texts(columns[name], name), chosen, table.pages)
        return _take(columns[name], chosen)

    parts = {split: {name: take(name, chosen) for name in columns} for split, chosen in rows.items()}
    return replace(table, splits=parts)


def _split_name(value: Any) -> str:
    name = str(value).strip().lower()
    return ALIASES.get(name, name)


def _take(values: Values, rows: NDArray[np.int64]) -> Values:
    if isinstance(values, pa.ChunkedArray):
        return values.take(pa.array(rows))
    return values[rows] if isinstance(values, np.ndarray) else [values[row] for row in rows]
