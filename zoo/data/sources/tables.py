"""Tables: CSV, TSV, JSON lines, Parquet and Arrow, read by pyarrow."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from zoo.data.sources.files import encoding_of, read_text, tell_encoding, unchanged
from zoo.data.table import Table, Values
from zoo.errors import DataError, first_line

DELIMITERS = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "bars"}
BLOCK = 64 << 20  # bytes: a row must fit
NOTHING = ["", "nan", "NaN"]  # and no more: 'NA' and 'None' may be names of classes


def read_csv(path: Path) -> Table:
    """A CSV or TSV file as columns of strings; its delimiter and encoding are found out."""
    with unchanged(path):
        encoding = encoding_of(path)
        header = _first_line(path, encoding)
        usual = "\t" if path.suffix.lower() == ".tsv" else ","
        delimiter = usual if usual in header else max(DELIMITERS, key=header.count)
        delimiter = delimiter if delimiter in header else usual
        found = _parse(path, encoding, delimiter, header)
    told = tell_encoding(encoding)
    if delimiter != usual:
        told += (f"its columns are parted by {DELIMITERS[delimiter]}, not {DELIMITERS[usual]}",)
    if not found.num_rows:
        raise DataError(f"{str(path)!r} holds no rows under its header")
    columns = [name.strip() for name in found.column_names]
    if all(re.fullmatch(r"[-+.\deE]+", name) for name in columns):
        raise DataError(
            f"{str(path)!r} begins with numbers where names of columns are expected; add a line of names"
        )
    return _table(path, path.suffix[1:].lower(), _by_name(path, columns, found.columns), told)


def _parse(path: Path, encoding: str, delimiter: str, header: str) -> pa.Table:
    try:
        parsing = pyarrow.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True)
        head = io.BytesIO(header.encode("utf-8", "replace"))
        names = pyarrow.csv.read_csv(head, parse_options=parsing).column_names
        return pyarrow.csv.read_csv(
            path,
            read_options=pyarrow.csv.ReadOptions(encoding=encoding, block_size=BLOCK, use_threads=False),
            parse_options=parsing,
            convert_options=pyarrow.csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),  # so that 01 and 1 stay two labels
                null_values=NOTHING,
                strings_can_be_null=True,
                quoted_strings_can_be_null=True,
            ),
        )
    except (pa.ArrowInvalid, UnicodeError) as error:
        raise DataError(f"{str(path)!r} cannot be read as csv: {_one_line(error)}") from None


def read_json(path: Path) -> Table:
    """JSON lines, or one JSON list of records."""
    text, encoding = read_text(path)
    records = list(_records(path, text))
    if not records:
        raise DataError(f"{str(path)!r} holds no rows")
    names = dict.fromkeys(name for record in records for name in record)
    columns = {name: [record.get(name) for record in records] for name in names}
    return _table(path, "json", columns, tell_encoding(encoding))


def _records(path: Path, text: str) -> Iterator[dict[str, Any]]:
    if text.lstrip()[:1] == "[":
        pieces = [(1, text)]
        kind: Any = list[dict[str, Any]]
    else:
        pieces = [(number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]
        kind = dict[str, Any]
    decoder = msgspec.json.Decoder(kind)
    for number, piece in pieces:
        try:
            decoded = decoder.decode(piece)
        except msgspec.MsgspecError as error:
            message = f"{str(path)!r} cannot be read as json: line {number}: {_one_line(error)}"
            raise DataError(message) from None
        yield from decoded if isinstance(decoded, list) else [decoded]


def read_parquet(path: Path) -> Table:
    """A Parquet file, mapped into memory."""
    try:
        with unchanged(path):
            return from_arrow(path, "parquet", pyarrow.parquet.read_table(path, memory_map=True))
    except pa.ArrowInvalid as error:
        raise DataError(f"{str(path)!r} cannot be read as parquet: {_one_line(error)}") from None


def read_arrow(path: Path) -> Table:
    """An Arrow file or stream, mapped into memory and read as it is used."""
    try:
        with unchanged(path), pa.memory_map(str(path)) as file:
            try:
                found = pa.ipc.open_file(file).read_all()
            except pa.ArrowInvalid:
                file.seek(0)
                found = pa.ipc.open_stream(file).read_all()
            return from_arrow(path, "arrow", found)
    except pa.ArrowInvalid as error:
        raise DataError(f"{str(path)!r} cannot be read as arrow: {_one_line(error)}") from None


def from_arrow(path: Path, kind: str, found: pa.Table) -> Table:
    """An Arrow table as ours; class names that Hugging Face `datasets` wrote into its schema are kept."""
    if not found.num_rows:
        raise DataError(f"{str(path)!r} holds no rows")
    columns = _by_name(path, found.column_names, found.columns)
    return _table(path, kind, columns, (), class_names(found.schema))


def class_names(schema: pa.Schema) -> dict[str, tuple[str, ...]]:
    """The names of the classes of each column that has them, as `datasets` keeps them beside the columns."""
    if not schema.metadata or b"huggingface" not in schema.metadata:
        return {}
    info = msgspec.json.decode(schema.metadata[b"huggingface"]).get("info", {})
    features = info.get("features", {})
    return {
        name: tuple(feature["names"])
        for name, feature in features.items()
        if isinstance(feature, dict) and feature.get("_type") == "ClassLabel"
    }


def _by_name(path: Path, names: list[str], values: list[Values]) -> dict[str, Values]:
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise DataError(f"{str(path)!r} has two columns named {twice!r}; rename one of them")
    return dict(zip(names, values, strict=True))


def _table(
    path: Path,
    kind: str,
    columns: dict[str, Any],
    told: tuple[str, ...],
    names: dict[str, tuple[str, ...]] | None = None,
) -> Table:
    return Table(
        uri=str(path),
        name=path.stem,
        kind=kind,
        splits={"": columns},
        names=names or {},
        folder=path.resolve().parent,
        told=told,
    )


def _first_line(path: Path, encoding: str) -> str:
    with path.open(encoding=encoding, errors="replace") as file:
        return file.readline(BLOCK)


def _one_line(error: Exception) -> str:
    return first_line(error).removeprefix("CSV parse error: ")
