"""Which column is what, and so which task: what the user says, what the source knows, what names suggest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from zoo.data.guesses import complete, infer_task, listed, suggest
from zoo.data.table import Table
from zoo.errors import DataError, SpecError, hint

NEEDED = {
    "image-classification": ("image", "label"),
    "text-classification": ("text", "label"),
    "seq2seq": ("source", "target"),
    "language-modeling": ("text",),
    "series-classification": ("series", "label"),
    "forecasting": ("value",),
}
ROLES = ("image", "text", "label", "source", "target", "series", "value", "id", "time", "split", "group")
MANY = ("series", "value")  # roles that several columns may share


@dataclass(frozen=True, kw_only=True)
class Roles:
    """The task, and the columns by what they are for."""

    task: str
    columns: Mapping[str, tuple[str, ...]]

    def one(self, role: str) -> str:
        """The only column of a role that is there."""
        return self.columns[role][0]

    def __contains__(self, role: str) -> bool:
        return role in self.columns

    def __str__(self) -> str:
        shown = {role: names for role, names in self.columns.items() if role != "path"}
        return ", ".join(f"{role}={_short(names)}" for role, names in shown.items())


def parse_columns(pairs: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """`["image=path,label=species", "value=t*"]` as columns by role; raises `SpecError` with every fault."""
    found: dict[str, tuple[str, ...]] = {}
    faults = []
    for pair in (part for text in pairs for part in text.split(",")):
        role, equals, column = (piece.strip() for piece in pair.partition("="))
        if not equals or not column:
            faults.append(f"{pair!r} is not of the form role=column")
        elif role not in ROLES:
            faults.append(f"unknown role {role!r}; {hint(role, ROLES)}")
        else:
            found[role] = (*found.get(role, ()), column)
    if faults:
        raise SpecError("--columns", faults)
    return found


def find_roles(
    table: Table, *, task: str | None = None, columns: Mapping[str, tuple[str, ...]] | None = None
) -> Roles:
    """The task and the roles of the columns; `columns` and `task` are what the user says.

    Raises `DataError` that lists the columns where they do not say enough.
    """
    if task is not None and task not in NEEDED:
        raise DataError(f"files cannot be read for task {task!r}; known: {', '.join(NEEDED)}")
    known = {**table.roles, **_expanded(table, columns or {})}
    every = {**suggest(table, known), **known}
    task = task or infer_task(table, every)
    kept = _kept(task, complete(table, task, NEEDED[task], every, known))
    for role in NEEDED[task]:
        if role not in kept:
            raise DataError(
                f"{table.uri!r} has the columns {listed(table.columns)}; which of them is the {role}? "
                f"say --columns {role}=NAME"
            )
    return Roles(task=task, columns=kept)


def find_input(
    table: Table, task: str, columns: Mapping[str, tuple[str, ...]] | None = None
) -> tuple[str, ...]:
    """The columns of what a model is asked about: the first role that the task needs, and no answers.

    Raises `DataError` that lists the columns where they do not say enough.
    """
    role = NEEDED[task][0]
    known = {**table.roles, **_expanded(table, columns or {})}
    found = complete(table, task, (role,), {**suggest(table, known), **known}, known)
    if not found.get(role):
        raise DataError(
            f"{table.uri!r} has the columns {listed(table.columns)}; which of them is the {role} for "
            f"{task}? say --columns {role}=NAME"
        )
    return found[role]


def told_roles(table: Table, roles: Roles, given: Mapping[str, Any]) -> tuple[str, ...]:
    """One line that says what was taken for what, where it was guessed."""
    if all(role in given or role in table.roles for role in roles.columns):
        return ()
    return (f"{roles.task}, with {roles} (guessed; say otherwise with --columns and --task)",)


def _expanded(table: Table, columns: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """The user's columns, `*` written out; every unknown one in one message."""
    found, faults = {}, []
    for role, wanted in columns.items():
        names: list[str] = []
        for pattern in wanted:
            matches = [name for name in table.columns if name == pattern or fnmatchcase(name, pattern)]
            if not matches:
                meant = hint(pattern, table.columns, f"it has: {listed(table.columns)}")
                faults.append(f"no column {pattern!r} for {role}; {meant}")
            names += matches
        if len(names) > 1 and role not in MANY:
            faults.append(f"{role} is one column, not {listed(names)}")
        found[role] = tuple(names)
    if faults:
        raise DataError(f"{table.uri!r}: {'; '.join(faults)}")
    return found


def _kept(task: str, roles: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """The roles that matter to the task; `id` and `time` only where a row is a step of a series."""
    rows_are_steps = task == "forecasting" or (
        task == "series-classification" and "id" in roles and roles.get("series") == roles.get("value")
    )
    steps = ("id", "time") if rows_are_steps else ()
    wanted = (*NEEDED[task], *steps, "split", "group", "path")
    return {role: roles[role] for role in wanted if roles.get(role)}


def _short(columns: tuple[str, ...]) -> str:
    return "+".join(columns) if len(columns) <= 4 else f"{columns[0]}...{columns[-1]}"
