"""Pieces of Python's standard library, to be told apart by the part of a program they are."""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Iterator, Mapping

from numpy.random import Generator

from zoo.data.dataset import Columns, Dataset
from zoo.data.samples._draws import generator, permutation
from zoo.data.samples.stdlib import read_sources
from zoo.specs import Classes, Problem, TokenInput

KINDS = ("comment", "docstring", "string", "signature", "call", "condition")
SIZES = {"train": 24000, "validation": 1200, "test": 1800}  # at most: fewer where a kind is too rare
SHORTEST, LONGEST = 12, 128  # bytes

_COMMENT_LINE = re.compile(r"\s*#+(.*)")
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
_WANTED = (*_DOCUMENTED, ast.If, ast.While, ast.Expr, ast.JoinedStr, ast.Constant)


def load() -> Dataset:
    """Up to 24,000, 1,200 and 1,800 snippets to train, validate and test, equally many of each kind.

    Files are split as in `stdlib`. What would give a kind away is taken off: the hash of a
    comment, the quotes of a string, `def` and `if`; any white space becomes one space. A text met
    in two splits, or as two kinds, is left out.
    """
    rng = generator(4)
    homes: dict[str, set[tuple[str, str]]] = {}  # the splits and kinds in which a text is met
    for split, files in read_sources().items():
        for source in files.values():
            for kind, text in find_snippets(source):
                homes.setdefault(text, set()).add((split, kind))
    pools: dict[str, dict[str, list[str]]] = {split: {kind: [] for kind in KINDS} for split in SIZES}
    for text, places in homes.items():
        if len(places) == 1:
            split, kind = places.pop()
            pools[split][kind].append(text)
    splits = {split: _balance(rng, pool, SIZES[split]) for split, pool in pools.items()}
    return Dataset(
        name="snippets",
        problem=Problem(
            task="text-classification",
            input=TokenInput(vocab_size=259, length=LONGEST),
            output=Classes(count=len(KINDS), names=KINDS),
            samples=len(splits["train"]["labels"]),
        ),
        splits=splits,
        license="PSF-2.0",
    )


def find_snippets(source: str) -> Iterator[tuple[str, str]]:
    """The kind and text of every printable snippet of 12 to 128 bytes in a Python source.

    - `comment`: one that has its line to itself
    - `docstring`: one paragraph, cut after the last word that fits
    - `string`: any other string that has no fields
    - `signature`: the name and parameters of a function
    - `call`: one that is a statement by itself
    - `condition`: that of an `if` or `while`
    """
    for kind, text in _find_pieces(source):
        text = " ".join(text.split())
        if kind == "docstring":
            text = textwrap.shorten(text, LONGEST, placeholder="")
        if text.isprintable() and SHORTEST <= len(text.encode()) <= LONGEST:
            yield kind, text


def _find_pieces(source: str) -> Iterator[tuple[str, str]]:
    parts: set[ast.AST] = set()  # of what was met before, since the walk goes inwards
    within: set[int] = set()  # lines that begin inside a string
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, _WANTED):  # most are not, and `match` would be slow over them
            continue
        if isinstance(node, _DOCUMENTED) and (docstring := ast.get_docstring(node)):
            parts.update(ast.iter_child_nodes(node.body[0]))
            yield from (("docstring", paragraph) for paragraph in docstring.split("\n\n"))
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                yield "signature", f"{node.name}({ast.unparse(node.args)})"
            case ast.If() | ast.While():
                yield "condition", ast.unparse(node.test)
            case ast.Expr(value=ast.Call()):
                yield "call", ast.unparse(node)
            case ast.JoinedStr():
                parts.update(node.values)
            case ast.Constant(value=str(text)):
                within.update(range(node.lineno + 1, (node.end_lineno or 0) + 1))
                if node not in parts:
                    yield "string", text
    for number, line in enumerate(source.split("\n"), start=1):
        if number not in within and (found := _COMMENT_LINE.match(line)):
            yield "comment", found[1]


def _balance(rng: Generator, pool: Mapping[str, list[str]], size: int) -> Columns:
    """As many texts of each kind, `size` in all if there are enough, in random order."""
    count = min(size // len(KINDS), *map(len, pool.values()))
    texts = [pool[kind][row] for kind in KINDS for row in permutation(rng, len(pool[kind]))[:count]]
    order = permutation(rng, len(texts))
    return {"text": [texts[row] for row in order], "labels": order // count}
