"""Text files, each one document."""

from __future__ import annotations

from pathlib import Path

from zoo.data.sources.files import read_text, tell_encoding
from zoo.data.table import Table

SUFFIXES = {".txt", ".md", ".text"}


def read_text_file(path: Path) -> Table:
    """A text file: language to model."""
    text, encoding = read_text(path)
    return Table(
        uri=str(path),
        name=path.stem,
        kind="text file",
        splits={"": {"text": [text]}},
        roles={"text": ("text",)},
        told=tell_encoding(encoding),
    )


def read_documents(paths: list[Path]) -> tuple[list[str], tuple[str, ...]]:
    """Text files as texts, and a line where some of them are not UTF-8."""
    read = [read_text(path) for path in paths]
    strange = [path for path, (_, encoding) in zip(paths, read, strict=True) if tell_encoding(encoding)]
    told = (
        (f"{len(strange):,} files, such as {strange[0].name!r}, are not UTF-8 and were decoded",)
        if strange
        else ()
    )
    return [text for text, _ in read], told
