"""Where data comes from: one module for each kind of source, and one function that tells them apart."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from zoo.data.table import Table
from zoo.errors import DataError

EXPECTED = "a folder of class folders of images or texts, a folder of texts, or a table such as a CSV file"
FILES = {  # suffix: module and function that read it
    ".csv": "tables:read_csv",
    ".tsv": "tables:read_csv",
    ".jsonl": "tables:read_json",
    ".ndjson": "tables:read_json",
    ".json": "tables:read_json",
    ".parquet": "tables:read_parquet",
    ".arrow": "tables:read_arrow",
    ".txt": "texts:read_text_file",
    ".md": "texts:read_text_file",
    ".npy": "arrays:read_npy",
    ".npz": "arrays:read_npz",
    ".ts": "uea:read_ts",
}


def open_source(uri: str) -> Table:
    """What is at a path or `hf://owner/name`, as a table; raises `DataError` that says what is wrong."""
    if uri.startswith("hf://"):
        return _reader("hub:read_hub")(uri)
    path = Path(uri).expanduser()
    try:
        if path.is_dir():
            return _open_folder(path)
        if path.is_file():
            return _open_file(path)
    except OSError as error:
        name = error.filename or uri
        raise DataError(f"{str(name)!r} cannot be read: {error.strerror or error}") from None
    if path.exists():
        raise DataError(f"{uri!r} is neither a file nor a folder")
    raise DataError(f"no file or folder {uri!r}")


def _open_file(path: Path) -> Table:
    suffix = path.suffix.lower()
    if suffix not in FILES:
        raise DataError(f"{str(path)!r} is of no known format; known: {', '.join(FILES)}; {EXPECTED}")
    if path.stat().st_size == 0:
        raise DataError(f"{str(path)!r} is empty")
    if suffix in (".tsv", ".csv", ".txt") and (found := _reader("ucr:read_ucr")(path)) is not None:
        return found
    return _reader(FILES[suffix])(path)


def _open_folder(path: Path) -> Table:
    for kind in ("hub:read_saved", "folders:read_folder", "ucr:read_ucr_folder", "arrays:read_npy_folder"):
        found = _reader(kind)(path)
        if found is not None:
            return found
    if not any(path.iterdir()):
        raise DataError(f"{str(path)!r} is empty; expected {EXPECTED}")
    raise DataError(f"{str(path)!r} holds nothing that can be read; expected {EXPECTED}")


def _reader(place: str) -> Callable[..., Table]:
    import importlib

    module, _, function = place.partition(":")
    reader: Callable[..., Table] = getattr(importlib.import_module(f"zoo.data.sources.{module}"), function)
    return reader
