"""Series that go on: in time's order, a channel for each column or for each series of a long table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo.data.request import Parts, Request
from zoo.data.roles import Roles
from zoo.data.series import fill_gaps
from zoo.data.splitting import SHARES, in_time
from zoo.data.table import Table, Values, as_list, as_numbers, as_times, is_numeric
from zoo.errors import DataError
from zoo.specs import Problem, SeriesInput, SeriesOutput

HISTORY, HORIZON = 96, 24  # steps, where there are enough
FEWEST = 20  # steps in all
SEASONS = {60: 60, 900: 96, 1800: 48, 3600: 24, 86_400: 7, 604_800: 52}  # seconds a step: steps a season
MONTH = (27.5 * 86_400, 31.5 * 86_400)  # seconds


def read_forecasts(table: Table, roles: Roles, request: Request) -> Parts:
    """The series `[T, C]`, split by time; what validates and tests begins with a history from before it."""
    if "group" in roles:
        raise DataError("a forecast is split by time, which --group-by cannot do; leave it out")
    log = request.log
    parts = {split: _read_part(table, columns, roles, log.told) for split, columns in table.splits.items()}
    if set(parts) not in ({""}, {"train", "validation", "test"}):
        log.told.append(
            f"the splits {', '.join(parts)} are put together in this order and split anew by time"
        )
    dated = "time" in roles and not is_numeric(next(iter(table.splits.values()))[roles.one("time")])
    season = _season([times for _, times in parts.values() if times is not None and dated], log.told)
    given = set(parts) == {"train", "validation", "test"}
    whole = np.concatenate([values for values, _ in parts.values()])
    log.total = len(whole)
    history, horizon = _window(table.uri, len(whole), season, request.options)
    season = season if season <= history else 1
    if given:
        splits = {split: values for split, (values, _) in parts.items()}
    else:
        splits = {split: whole[steps] for split, steps in in_time(len(whole), history).items()}
    _check(table.uri, splits["train"], log.warnings, roles)
    channels = whole.shape[1]
    problem = Problem(
        task="forecasting",
        input=SeriesInput(channels=channels, length=history),
        output=SeriesOutput(channels=channels, length=horizon),
        samples=max(1, len(splits["train"]) - history - horizon + 1),
    )
    told = (
        "as given"
        if given
        else f"by time: the first {SHARES['train']:.0%} train, then validation, the last test"
    )
    log.told.append(f"from {history} steps the next {horizon} are forecast")
    return Parts(problem, {split: {"series": values} for split, values in splits.items()}, told, season)


def read_history(table: Table, roles: Roles) -> NDArray[np.float32]:
    """All steps `[T, C]` of a table that holds what a forecast is to go on from."""
    told: list[str] = []
    return np.concatenate([_read_part(table, part, roles, told)[0] for part in table.splits.values()])


def _read_part(
    table: Table, columns: Mapping[str, Values], roles: Roles, told: list[str]
) -> tuple[NDArray[np.float32], NDArray[np.float64] | None]:
    """`[T, C]` in time's order, without gaps, and the time of each step."""
    names = roles.columns["value"]
    first = columns[names[0]]
    if isinstance(first, np.ndarray) and first.ndim == 2:
        values = first.astype(np.float64)
    else:
        values = np.stack([as_numbers(columns[name], name) for name in names], axis=1)
    times = as_times(columns[roles.one("time")], roles.one("time")) if "time" in roles else None
    if times is not None and np.isnan(times).any():
        row = int(np.flatnonzero(np.isnan(times))[0]) + 1
        raise DataError(f"{table.uri!r} has no {roles.one('time')} in row {row}; give each step its time")
    if "id" in roles:
        values, times = _pivoted(table, columns, roles, values, times, told)
    elif times is not None:
        order = np.argsort(times, kind="stable")
        if (np.diff(order) < 0).any():
            told.append(f"rows were put in the order of {roles.one('time')!r}")
        values, times = values[order], times[order]
        if (np.diff(times) == 0).any():
            raise DataError(
                f"{table.uri!r} has a time twice in {roles.one('time')!r}; where it holds several series, "
                "say which column tells them apart: --columns id=NAME"
            )
    gaps = int((~np.isfinite(values)).any(axis=1).sum())
    if gaps:
        told.append(f"{gaps:,} steps have gaps, which were filled on the line between their neighbours")
    return fill_gaps(values).astype(np.float32), times


def _pivoted(
    table: Table,
    columns: Mapping[str, Values],
    roles: Roles,
    values: NDArray[np.float64],
    times: NDArray[np.float64] | None,
    told: list[str],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A long table with a channel for each series and value."""
    if times is None:
        raise DataError(f"{table.uri!r} holds several series and no times; say --columns time=NAME")
    names, series = np.unique(list(map(str, as_list(columns[roles.one("id")]))), return_inverse=True)
    steps, step = np.unique(times, return_inverse=True)
    cells, counts = np.unique(step * len(names) + series, return_counts=True)
    if counts.max() > 1:
        name = names[cells[counts.argmax()] % len(names)]
        raise DataError(f"{table.uri!r}: series {str(name)!r} has a time twice in {roles.one('time')!r}")
    wide = np.full((len(steps), values.shape[1], len(names)), np.nan)
    wide[step, :, series] = values
    told.append(
        f"each of its {len(names):,} series is a channel: {', '.join(names[:5])}{', ...' * (len(names) > 5)}"
    )
    return wide.reshape(len(steps), -1), steps


def _season(times: list[NDArray[np.float64]], told: list[str]) -> int:
    """Steps in a day, a week or a year, as the distance of the steps suggests; 1 where it does not."""
    steps = np.concatenate([np.diff(part) for part in times]) if times else np.empty(0)
    if not len(steps):
        return 1
    step = float(np.median(steps))
    season = 12 if MONTH[0] <= step <= MONTH[1] else SEASONS.get(round(step), 1)
    if season > 1:
        told.append(f"a season is taken to have {season} steps, for the naive forecast to compare with")
    return season


def _window(uri: str, count: int, season: int, wanted: Mapping[str, Any]) -> tuple[int, int]:
    """Steps of history and horizon: those that the user wants, else fewer for short series."""
    if count < FEWEST:
        raise DataError(f"{uri!r} holds {count:,} time steps; at least {FEWEST} are needed")
    test, train = (round(count * SHARES[split]) for split in ("test", "train"))
    horizon = wanted.get("horizon") or min(HORIZON, max(1, test // 2))
    if horizon > test:
        raise DataError(f"{uri!r} has {test:,} steps to test on; a horizon of {horizon:,} is too long")
    history = wanted.get("history") or min(max(HISTORY, season), max(1, (train - horizon) // 2))
    if history + horizon > train:
        raise DataError(
            f"{uri!r} has {train:,} steps to train on; a history of {history:,} before a horizon of "
            f"{horizon:,} is too long"
        )
    return history, horizon


def _check(uri: str, train: NDArray[np.float32], warnings: list[str], roles: Roles) -> None:
    if np.isnan(train).any():
        raise DataError(f"{uri!r} has a channel without a single number; leave it out: --columns value=NAME")
    still = np.flatnonzero(np.ptp(train, axis=0) == 0)
    if len(still) == train.shape[1]:
        raise DataError(f"{uri!r} never changes while it trains; there is nothing to forecast")
    if len(still):
        names = roles.columns["value"]
        shown = names[still[0]] if len(names) == train.shape[1] else f"channel {still[0]}"
        warnings.append(
            f"{len(still)} of {train.shape[1]} channels never change while training, such as {shown!r}"
        )
