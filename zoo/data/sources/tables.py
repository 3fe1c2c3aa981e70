"""Tables: CSV, TSV, JSON lines, Parquet and Arrow, read by pyarrow, and mapped where they are large."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import NoneType
from typing import Any, TypeVar

import msgspec
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from zoo.data.sources.files import encoding_of, read_text, tell_encoding, unchanged
from zoo.data.stored import BATCH, LARGE, Pages, store
from zoo.data.table import Table, Values
from zoo.errors import DataError, first_line

DELIMITERS = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "bars"}
BLOCK = 64 << 20  # bytes: a row must fit
NOTHING = ["", "nan", "NaN"]  # and no more: 'NA' and 'None' may be names of classes
BUFFER = 1 << 20  # bytes of a column of a Parquet file that are read at once
PLAIN = {str: pa.string(), int: pa.int64(), float: pa.float64()}
AS_JSON = {"encoding": "json"}
RECORD, LIST = msgspec.json.Decoder(dict[str, Any]), msgspec.json.Decoder(list[dict[str, Any]])
T = TypeVar("T")


def read_csv(path: Path) -> Table:
    """A CSV or TSV file as columns of strings; its delimiter and encoding are found out."""
    with unchanged(path):
        encoding = encoding_of(path)
        header = _first_line(path, encoding)
        usual = "\t" if path.suffix.lower() == ".tsv" else ","
        delimiter = usual if usual in header else max(DELIMITERS, key=header.count)
        delimiter = delimiter if delimiter in header else usual
        found, pages = _parse(path, encoding, delimiter, header)
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
    return _table(path, path.suffix[1:].lower(), _by_name(path, columns, found.columns), told, pages=pages)


def _parse(path: Path, encoding: str, delimiter: str, header: str) -> tuple[pa.Table, Pages | None]:
    """The rows, and the file that they are mapped from where they are many."""
    try:
        parsing = pyarrow.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True)
        head = io.BytesIO(header.encode("utf-8", "replace"))
        names = pyarrow.csv.read_csv(head, parse_options=parsing).column_names
        converting = pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()),  # so that 01 and 1 stay two labels
            null_values=NOTHING,
            strings_can_be_null=True,
            quoted_strings_can_be_null=True,
        )

        def rows(open_csv: Callable[..., T], source: Any, block: int) -> T:
            reading = pyarrow.csv.ReadOptions(encoding=encoding, block_size=block, use_threads=False)
            return open_csv(source, read_options=reading, parse_options=parsing, convert_options=converting)

        @contextmanager
        def batches(block: int) -> Iterator[pa.RecordBatchReader]:
            # what Arrow opens itself it reads ahead, faster than it parses
            with path.open("rb") as file, rows(pyarrow.csv.open_csv, file, block) as found:
                yield found

        if path.stat().st_size <= LARGE:
            return rows(pyarrow.csv.read_csv, path, BLOCK), None
        manner = f"csv {encoding} {delimiter!r}"
        try:
            pages = store(path, manner, lambda: batches(BATCH))
        except pa.ArrowInvalid:  # it may be that a row is longer than that
            pages = store(path, manner, lambda: batches(BLOCK))
        return pages.table(), pages
    except (pa.ArrowInvalid, UnicodeError) as error:
        raise DataError(f"{str(path)!r} cannot be read as csv: {_one_line(error)}") from None


def read_json(path: Path) -> Table:
    """JSON lines, or one JSON list of records, which is read whole."""
    with unchanged(path):
        encoding = encoding_of(path)
        told = tell_encoding(encoding)
        if path.stat().st_size > LARGE and not _is_list(path, encoding):
            pages = store(path, f"json {encoding}", lambda: _json_batches(path, encoding))
            found = pages.table()
            columns = {field.name: _stored_values(found[field.name], field) for field in found.schema}
            return _table(path, "json", columns, told, pages=pages)
        records = list(json_records(path, encoding))
    if not records:
        raise DataError(f"{str(path)!r} holds no rows")
    names = dict.fromkeys(name for record in records for name in record)
    return _table(path, "json", {name: [record.get(name) for record in records] for name in names}, told)


def _is_list(path: Path, encoding: str) -> bool:
    _, first = next(_lines(path, encoding), (0, ""))
    return first.lstrip().startswith("[")


def json_records(path: Path, encoding: str) -> Iterator[dict[str, Any]]:
    """The records of JSON lines one after another, or those of a list; raises `DataError` with the line."""
    if _is_list(path, encoding):
        text, _ = read_text(path)
        yield from _decoded(path, 1, text, LIST)
        return
    for number, line in _lines(path, encoding):
        yield _decoded(path, number, line, RECORD)


def _lines(path: Path, encoding: str) -> Iterator[tuple[int, str]]:
    """Every line that is not blank, and its number."""
    with path.open(encoding=encoding, errors="replace", newline="\n") as file:
        yield from ((number, line) for number, line in enumerate(file, start=1) if line.strip())


def _decoded(path: Path, number: int, text: str, decoder: msgspec.json.Decoder[T]) -> T:
    try:
        return decoder.decode(text)
    except msgspec.MsgspecError as error:
        message = f"{str(path)!r} cannot be read as json: line {number}: {_one_line(error)}"
        raise DataError(message) from None


def _json_batches(path: Path, encoding: str) -> pa.RecordBatchReader:
    """The records of a large file in batches; what is of no single plain type stays JSON."""
    kinds: dict[str, set[type]] = {}
    for record in json_records(path, encoding):
        for name, value in record.items():
            kinds.setdefault(name, set()).add(_kind(value))
    schema = pa.schema([_field(name, found - {NoneType}) for name, found in kinds.items()])

    def batches() -> Iterator[pa.RecordBatch]:
        records, filled = [], 0
        for number, line in _lines(path, encoding):
            records.append(_decoded(path, number, line, RECORD))
            filled += len(line)
            if filled >= BATCH:
                yield _batch(records, schema)
                records, filled = [], 0
        if records:
            yield _batch(records, schema)

    return pa.RecordBatchReader.from_batches(schema, batches())


def _kind(value: Any) -> type:
    return object if isinstance(value, int) and abs(value) >= 1 << 63 else type(value)


def _field(name: str, kinds: set[type]) -> pa.Field:
    plain = PLAIN.get(next(iter(kinds))) if len(kinds) == 1 else None
    return pa.field(name, plain or pa.binary(), metadata={} if plain else AS_JSON)


def _batch(records: list[dict[str, Any]], schema: pa.Schema) -> pa.RecordBatch:
    columns = []
    for field in schema:
        values = [record.get(field.name) for record in records]
        values = [msgspec.json.encode(value) for value in values] if field.metadata else values
        columns.append(pa.array(values, field.type))
    return pa.record_batch(columns, schema=schema)


def _stored_values(column: pa.ChunkedArray, field: pa.Field) -> Values:
    """A column as a file that is not large has it."""
    return [msgspec.json.decode(value.as_py()) for value in column] if field.metadata else column


def read_parquet(path: Path) -> Table:
    """A Parquet file; one whose rows are large is unpacked into a file that is mapped."""
    try:
        with unchanged(path), pyarrow.parquet.ParquetFile(path, buffer_size=BUFFER) as file:
            groups = [file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)]
            size = sum(group.total_byte_size for group in groups)
            if size <= LARGE:
                return from_arrow(path, "parquet", pyarrow.parquet.read_table(path, memory_map=True))
            rows = max(1, BATCH * file.metadata.num_rows // size)

            def batches() -> pa.RecordBatchReader:
                found = file.iter_batches(rows, use_threads=False)
                return pa.RecordBatchReader.from_batches(file.schema_arrow, found)

            pages = store(path, "parquet", batches)
            return from_arrow(path, "parquet", pages.table(), pages)
    except pa.ArrowInvalid as error:
        raise DataError(f"{str(path)!r} cannot be read as parquet: {_one_line(error)}") from None


def read_arrow(path: Path) -> Table:
    """An Arrow file or stream, mapped into memory and read as it is used."""
    try:
        with unchanged(path):
            pages = Pages(path)
            return from_arrow(path, "arrow", pages.table(), pages)
    except pa.ArrowInvalid as error:
        raise DataError(f"{str(path)!r} cannot be read as arrow: {_one_line(error)}") from None


def from_arrow(path: Path, kind: str, found: pa.Table, pages: Pages | None = None) -> Table:
    """An Arrow table as ours; class names that Hugging Face `datasets` wrote into its schema are kept."""
    if not found.num_rows:
        raise DataError(f"{str(path)!r} holds no rows")
    columns = _by_name(path, found.column_names, found.columns)
    return _table(path, kind, columns, (), class_names(found.schema), pages=pages)


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
    *,
    pages: Pages | None = None,
) -> Table:
    return Table(
        uri=str(path),
        name=path.stem,
        kind=kind,
        splits={"": columns},
        names=names or {},
        folder=path.resolve().parent,
        told=told,
        pages=pages,
    )


def _first_line(path: Path, encoding: str) -> str:
    with path.open(encoding=encoding, errors="replace") as file:
        return file.readline(BLOCK)


def _one_line(error: Exception) -> str:
    return first_line(error).removeprefix("CSV parse error: ")
