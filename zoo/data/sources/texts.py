"""Text files, each one document."""

from __future__ import annotations

from pathlib import Path

from zoo.data.documents import Documents, look_at
from zoo.data.sources.files import read_text, tell_encoding
from zoo.data.table import Table

SUFFIXES = {".txt", ".md", ".text"}


def read_text_file(path: Path) -> Table:
    """A text file: language to model."""
    passage = look_at(path)
    return Table(
        uri=str(path),
        name=path.stem,
        kind="text file",
        splits={"": {"text": Documents((passage,))}},
        roles={"text": ("text",)},
        told=tell_encoding(passage.encoding),
    )


def find_documents(paths: list[Path]) -> tuple[Documents, tuple[str, ...]]:
    """Text files as documents, and a line where some of them are not UTF-8."""
    passages = tuple(map(look_at, paths))
    return Documents(passages), _tell_strange([(passage.path, passage.encoding) for passage in passages])


def read_documents(paths: list[Path]) -> tuple[list[str], tuple[str, ...]]:
    """Text files as texts, and a line where some of them are not UTF-8."""
    read = [read_text(path) for path in paths]
    encodings = [(path, encoding) for path, (_, encoding) in zip(paths, read, strict=True)]
    return [text for text, _ in read], _tell_strange(encodings)


def _tell_strange(encodings: list[tuple[Path, str]]) -> tuple[str, ...]:
    strange = [path for path, encoding in encodings if tell_encoding(encoding)]
    if not strange:
        return ()
    return (f"{len(strange):,} files, such as {strange[0].name!r}, are not UTF-8 and were decoded",)
