"""Text files, each one document."""

from __future__ import annotations

from pathlib import Path

from zoo.data.documents import Documents, look_at
from zoo.data.sources.files import tell_encoding
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
    strange = [passage.path for passage in passages if tell_encoding(passage.encoding)]
    if not strange:
        return Documents(passages), ()
    told = f"{len(strange):,} files, such as {strange[0].name!r}, are not UTF-8 and were decoded"
    return Documents(passages), (told,)
