"""Texts alone, and pairs of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from zoo.data.dataset import SPLITS, Columns, different
from zoo.data.documents import Documents
from zoo.data.request import Log, Parts, Request, groups_of, numbered, paths_of
from zoo.data.roles import Roles
from zoo.data.splitting import ALL, SHARES, plan_splits
from zoo.data.table import Table, Texts, Values, as_texts
from zoo.errors import DataError
from zoo.specs import Problem, TokenInput, TokenOutput

VOCABULARY = 259  # padding, 256 bytes, begin, end
LONGEST = 512  # bytes a text
WINDOW = 256  # tokens that a language model sees at once
FEW = 10  # documents: fewer are cut in three instead of being shared out


def read_texts(table: Table, values: Values, column: str) -> tuple[Texts | Documents, dict[int, str]]:
    """A column of texts, and why some of them cannot be used, by row."""
    if isinstance(values, Documents):
        empty = np.flatnonzero([passage.blank for passage in values.passages])
        return values, _empty(empty, column)
    if not isinstance(values, Texts):
        texts = as_texts(values, column)
        values = Texts(texts, np.arange(len(texts)), table.pages)
    return values, _empty(np.flatnonzero(~values.filled), column)


def _empty(rows: NDArray[np.int64], column: str) -> dict[int, str]:
    return {int(row): f"its {column} is empty" for row in rows}


def text_input(columns: Sequence[Texts | Documents], log: Log) -> TokenInput:
    """Tokens as long as the longest text, at most `LONGEST`; says how many texts are longer."""
    lengths = np.concatenate([column.sizes for column in columns])
    cut = int((lengths > LONGEST).sum())
    if cut:
        log.told.append(
            f"{cut:,} texts are longer than {LONGEST} bytes (the longest {lengths.max():,}) and, read as "
            "bytes, cut there"
        )
    return TokenInput(vocab_size=VOCABULARY, length=int(min(LONGEST, lengths.max())))


def read_pairs(table: Table, roles: Roles, request: Request) -> Parts:
    """Source and target texts, by split."""
    found: dict[str, dict[str, Texts | Documents]] = {}
    groups = {}
    for split, columns in table.splits.items():
        names = {role: roles.one(role) for role in ("source", "target")}
        read = {role: read_texts(table, columns[name], name) for role, name in names.items()}
        faults = {row: why for _, faulty in read.values() for row, why in faulty.items()}
        rows = request.log.keep(split, faults, len(read["source"][0]), None)
        found[split] = {role: texts[rows] for role, (texts, _) in read.items()}
        groups[split] = groups_of(columns, roles, rows)
    classes = {split: np.zeros(len(pair["source"]), dtype=np.int64) for split, pair in found.items()}
    plan = plan_splits(
        classes, numbered(groups), seed=request.seed, where=repr(table.uri), judge=request.judge
    )
    splits = plan.fill(lambda part, rows: {role: texts[rows] for role, texts in found[part].items()})
    pairs = cast(list[dict[str, Texts | Documents]], different(splits))
    source, target = (
        text_input([pair[role] for pair in pairs], request.log) for role in ("source", "target")
    )
    problem = Problem(
        task="seq2seq",
        input=source,
        output=TokenOutput(vocab_size=VOCABULARY, length=target.length + 2),
        samples=len(splits["train"]["source"]),
    )
    return Parts(problem, splits, _at_random(plan.told))


def read_language(table: Table, roles: Roles, request: Request) -> Parts:
    """Documents by split; a few that are not split already are cut in three."""
    found: dict[str, Texts | Documents] = {}
    groups = {}
    for split, columns in table.splits.items():
        texts, faults = read_texts(table, columns[roles.one("text")], roles.one("text"))
        rows = request.log.keep(split, faults, len(texts), paths_of(columns, roles))
        found[split], groups[split] = texts[rows], groups_of(columns, roles, rows)
    splits: dict[str, Columns]
    if "" in found and len(found[""]) < FEW and request.judge != ALL:
        splits = _shared_out(found[""])
        shares = ", ".join(f"{share:.0%} {split}" for split, share in SHARES.items())
        told = f"each text is cut in three: {shares}"
    else:
        classes = {split: np.zeros(len(texts), dtype=np.int64) for split, texts in found.items()}
        plan = plan_splits(
            classes, numbered(groups), seed=request.seed, where=repr(table.uri), judge=request.judge
        )
        splits = plan.fill(lambda part, rows: {"text": found[part][rows]})
        told = _at_random(plan.told)
    bytes_in = {split: _size(columns["text"]) for split, columns in splits.items()}
    if not all(bytes_in.values()):
        raise DataError(f"{table.uri!r} holds too little text to train, validate and test; give more of it")
    length = min(WINDOW, *bytes_in.values())  # each split holds a window
    return Parts(
        Problem(
            task="language-modeling",
            input=TokenInput(vocab_size=VOCABULARY, length=length),
            output=TokenOutput(vocab_size=VOCABULARY, length=length),
            samples=max(1, bytes_in["train"] // length),
        ),
        splits,
        told,
    )


def _shared_out(texts: Texts | Documents) -> dict[str, Columns]:
    """Each text in three parts, by its characters."""
    if isinstance(texts, Documents):
        passages = [passage.parts(_stops(passage.stop - passage.start)) for passage in texts.passages]
        parts = zip(*passages, strict=True)
        return {split: {"text": Documents(part)} for split, part in zip(SPLITS, parts, strict=True)}
    cuts = [(text, *_stops(len(text))) for text in texts]
    return {
        "train": {"text": [text[:first] for text, first, _ in cuts]},
        "validation": {"text": [text[first:second] for text, first, second in cuts]},
        "test": {"text": [text[second:] for text, _, second in cuts]},
    }


def _stops(length: int) -> tuple[int, int]:
    first = round(length * SHARES["train"])
    return first, first + round(length * SHARES["validation"])


def _size(texts: Any) -> int:
    if isinstance(texts, Texts | Documents):
        return int(texts.sizes.sum())
    return sum(len(text.encode()) for text in texts)


def _at_random(told: str) -> str:
    return told.replace("stratified by class", "at random")
