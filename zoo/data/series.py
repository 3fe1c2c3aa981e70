"""Labelled series: arrays, lists, a column for each step, or a row for each step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo.data.roles import Roles
from zoo.data.table import Values, as_list, as_numbers, as_times
from zoo.errors import DataError

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Series:
    """`values` `[N, T, C]`, NaN after the end of each; faults by row; names and rows in a long table."""

    values: Floats
    faults: Mapping[int, str]
    names: Sequence[str] = ()
    rows: Sequence[Sequence[int]] | None = None


def read_series(columns: Mapping[str, Values], roles: Roles, told: list[str]) -> Series:
    """The series of a part of a table; gaps are filled, and `told` gets a line for what was done."""
    names: Sequence[str] = ()
    rows: Sequence[Sequence[int]] | None = None
    if "id" in roles:
        names, rows = _grouped(columns, roles)
        steps = np.stack([as_numbers(columns[name], name) for name in roles.columns["series"]], axis=1)
        pieces = [steps[chosen] for chosen in rows]
    elif len(roles.columns["series"]) > 1:
        wide = np.stack([as_numbers(columns[name], name) for name in roles.columns["series"]], axis=1)
        pieces = [row[: _end(np.isfinite(row)), None] for row in wide]
    else:
        pieces = _pieces(columns[roles.one("series")], roles.one("series"), told)
    return _padded(pieces, told, names, rows)


def fill_gaps(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """`[T, C]` with missing steps on the line between their neighbours; outside, the first or last again."""
    steps = np.arange(len(values))
    filled = values.copy()
    for channel in filled.T:
        known = np.isfinite(channel)
        if known.any() and not known.all():
            channel[~known] = np.interp(steps[~known], steps[known], channel[known])
    return filled


def _pieces(values: Values, column: str, told: list[str]) -> list[NDArray[np.float64]]:
    """Each series as `[T, C]`."""
    if isinstance(values, np.ndarray):
        if values.ndim == 2:
            return [row[: _end(np.isfinite(row)), None] for row in values.astype(np.float64)]
        if values.ndim == 3:
            if values.shape[1] < values.shape[2]:
                told.append(f"series of the shape {list(values.shape[1:])} were taken for [channels, steps]")
                values = values.transpose(0, 2, 1)
            known = np.asarray(np.isfinite(values).any(axis=2))  # [N, T]
            return [row[: _end(steps)] for row, steps in zip(values.astype(np.float64), known, strict=True)]
        raise DataError(
            f"{column!r} has the shape {list(values.shape)}; expected series as [N, T] or [N, T, C]"
        )
    return [_piece(value, column, row) for row, value in enumerate(as_list(values), start=1)]


def _piece(value: Any, column: str, row: int) -> NDArray[np.float64]:
    if value is None:
        return np.full((1, 1), np.nan)
    try:
        piece = np.array(value, dtype=np.float64)
    except (ValueError, TypeError):
        raise DataError(f"column {column!r} holds no list of numbers in row {row}") from None
    piece = piece.reshape(len(piece), -1) if piece.ndim in (1, 2) else piece
    if piece.ndim != 2:
        raise DataError(f"column {column!r} holds no list of numbers in row {row}")
    return piece if len(piece) else np.full((1, 1), np.nan)


def _padded(
    pieces: list[NDArray[np.float64]],
    told: list[str],
    names: Sequence[str],
    rows: Sequence[Sequence[int]] | None,
) -> Series:
    empty = [row for row, piece in enumerate(pieces) if not np.isfinite(piece).any(axis=0).all()]
    faults = dict.fromkeys(empty, "it holds no numbers, or none in one of its channels")
    channels = {piece.shape[1] for row, piece in enumerate(pieces) if row not in faults}
    if len(channels) > 1:
        raise DataError(f"series of {sorted(channels)} channels; give all as many")
    width = channels.pop() if channels else 1
    gaps = sum(not np.isfinite(piece).all() for row, piece in enumerate(pieces) if row not in faults)
    if gaps:
        told.append(f"{gaps:,} series have gaps, which were filled on the line between their neighbours")
    still = [row for row, piece in enumerate(pieces) if row not in faults and _is_still(piece)]
    if still:
        first = names[still[0]] if names else f"row {still[0] + 1}"
        told.append(f"{len(still):,} series never change, such as {first}")
    lengths = [len(piece) for piece in pieces]
    if len(set(lengths)) > 1:
        told.append(
            f"series of {min(lengths):,} to {max(lengths):,} steps; the shorter ones are padded at their end"
        )
    values = np.full((len(pieces), max(lengths, default=1), width), np.nan, dtype=np.float32)
    for row, piece in enumerate(pieces):
        if row not in faults:
            values[row, : len(piece)] = fill_gaps(piece)
    return Series(values, faults, names, rows)


def _grouped(columns: Mapping[str, Values], roles: Roles) -> tuple[list[str], list[list[int]]]:
    """The names of the series of a long table in their order, and the rows of each in time's."""
    times = as_times(columns[roles.one("time")], roles.one("time")) if "time" in roles else None
    found: dict[str, list[int]] = {}
    for row, name in enumerate(as_list(columns[roles.one("id")])):
        found.setdefault(str(name), []).append(row)
    rows = [
        sorted(chosen, key=times.__getitem__) if times is not None else chosen for chosen in found.values()
    ]
    return list(found), rows


def _is_still(piece: NDArray[np.float64]) -> bool:
    return bool((np.nanmin(piece, axis=0) == np.nanmax(piece, axis=0)).all())


def _end(known: NDArray[np.bool_]) -> int:
    """How many steps there are up to the last known one, and at least one."""
    steps = np.flatnonzero(known)
    return int(steps[-1]) + 1 if len(steps) else 1
