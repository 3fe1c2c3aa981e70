"""What a source holds, before anybody has said what it is for."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias, overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from zoo.data.stored import Pages
from zoo.errors import DataError

Values: TypeAlias = pa.ChunkedArray | NDArray[Any] | Sequence[Any]
ALIASES = {
    "val": "validation",
    "valid": "validation",
    "dev": "validation",
    "training": "train",
    "testing": "test",
}
BLOCK = 4096  # rows that are taken out of Arrow at once
BLOCK_BYTES = 8 << 20  # and about how much text


@dataclass(frozen=True, kw_only=True)
class Table:
    """Named columns of values by split; the only split is `""` where a source has none.

    `roles` holds what the source itself says of its columns (`{"image": ("path",)}`), `names` the class names
    of a column of numbers, `folder` where files named in it are, `told` what was guessed so far, `pages` the
    file that its columns are mapped from.
    """

    uri: str
    name: str
    kind: str
    splits: Mapping[str, Mapping[str, Values]]
    roles: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    folder: Path | None = None
    told: tuple[str, ...] = ()
    pages: Pages | None = None

    @property
    def columns(self) -> list[str]:
        """The columns that every split has."""
        first, *others = self.splits.values()
        return [name for name in first if all(name in other for other in others)]

    def first(self, column: str) -> Any:
        """The first value of a column that is not missing, or None where the first many are."""
        for split in self.splits.values():
            for value in itertools.islice(split[column], BLOCK):
                plain = value.as_py() if isinstance(value, pa.Scalar) else value
                if plain is not None and not (isinstance(plain, float) and np.isnan(plain)):
                    return plain
        return None


@dataclass(frozen=True)
class Texts(Sequence[str]):
    """Texts of an Arrow column, which may be a mapped file; `rows` says which of them, in order."""

    values: pa.ChunkedArray
    rows: NDArray[np.int64]
    pages: Pages | None = None

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice | NDArray[Any]) -> Texts: ...
    def __getitem__(self, index: Any) -> Any:
        """One text, or the texts of several rows."""
        if isinstance(index, slice | np.ndarray):
            return replace(self, rows=self.rows[index])
        return self.values[int(self.rows[index])].as_py()

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Bytes of each text."""
        found: NDArray[np.int64] = pc.binary_length(self.values).to_numpy()[self.rows].astype(np.int64)
        return found

    @property
    def filled(self) -> NDArray[np.bool_]:
        """Which texts hold more than white space."""
        found, step = [np.empty(0, dtype=bool)], self._step()
        for start in range(0, len(self.values), step):
            length = pc.utf8_length(pc.utf8_trim_whitespace(self.values.slice(start, step)))
            found.append(np.asarray(pc.fill_null(pc.greater(length, 0), False).to_numpy(), dtype=bool))
            self._release()
        return np.concatenate(found)[self.rows]

    def __iter__(self) -> Iterator[str]:
        places = self.rows // self._step()
        for rows in np.split(self.rows, np.flatnonzero(np.diff(places)) + 1):  # each of them close together
            if len(rows):
                first, last = int(rows.min()), int(rows.max())
                near = self.values.slice(first, last - first + 1)  # taking copies all that it takes from
                yield from near.take(pa.array(rows - first)).to_pylist()
                self._release()

    def _step(self) -> int:
        """How many texts may be copied at once without it being told from the memory that they take."""
        return max(1, min(BLOCK, BLOCK_BYTES * len(self.values) // (int(self.values.nbytes) + 1)))

    def _release(self) -> None:
        if self.pages is not None:
            self.pages.release()


def as_list(values: Values) -> list[Any]:
    """Values as plain Python objects."""
    if isinstance(values, pa.ChunkedArray):
        return values.to_pylist()  # type: ignore[no-any-return]
    return values.tolist() if isinstance(values, np.ndarray) else list(values)


def as_texts(values: Values, column: str) -> pa.ChunkedArray:
    """Values as Arrow strings, missing ones as null; raises `DataError` for what is no text."""
    if isinstance(values, pa.ChunkedArray):
        if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
            return values
        if pa.types.is_nested(values.type) or pa.types.is_binary(values.type):
            raise DataError(f"column {column!r} holds {values.type} where text is expected")
        return values.cast(pa.string())
    items = as_list(values)
    for row, item in enumerate(items, start=1):
        if isinstance(item, list | dict | bytes):
            raise DataError(
                f"column {column!r} holds a {type(item).__name__} in row {row} where text is expected"
            )
    return pa.chunked_array([pa.array([None if item is None else str(item) for item in items], pa.string())])


@dataclass(frozen=True)
class Coded:
    """Different words, and for each row the place of its own among them, -1 where it has none."""

    words: tuple[str, ...]
    codes: NDArray[np.int64]


def as_labels(values: Values, column: str, names: Sequence[str] = ()) -> Coded:
    """Class names, numbers as whole ones; none where there is none: null, NaN, blank, -1 of `names`."""
    array = np.asarray(values) if isinstance(values, np.ndarray) else None
    if array is not None and array.ndim > 1:
        if array.size != len(array):
            raise DataError(
                f"{column!r} has the shape {list(array.shape)} where one label a sample is expected; "
                "give the number of the class instead of a vector"
            )
        values = array.reshape(len(array))
    return as_words(values, lambda value: _label(value, names, column))


def as_words(values: Values, word: Callable[[Any], str | None] = str) -> Coded:
    """The word for each value, of which few are different."""
    if isinstance(values, pa.ChunkedArray) and not pa.types.is_nested(values.type):
        distinct, places = _distinct(values)
        found = as_words(distinct, word)
        return Coded(found.words, found.codes[places])
    numbers: dict[str | None, int] = {None: -1}
    items = as_list(values) if isinstance(values, pa.ChunkedArray | np.ndarray) else values
    given = (numbers.setdefault(word(item), len(numbers) - 1) for item in items)
    codes = np.fromiter(given, dtype=np.int64, count=len(items))
    return Coded(tuple(known for known in numbers if known is not None), codes)


def _distinct(values: pa.ChunkedArray) -> tuple[list[Any], NDArray[np.int64]]:
    """Every value once, a missing one as None at the end, and the place of each row's among them."""
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    encoded = values.dictionary_encode().unify_dictionaries()
    distinct: list[Any] = encoded.chunk(0).dictionary.to_pylist() if encoded.num_chunks else []
    places = [chunk.indices.fill_null(len(distinct)).to_numpy() for chunk in encoded.chunks]
    distinct += [None] if values.null_count else []
    return distinct, np.concatenate([np.empty(0, dtype=np.int64), *places])


def _label(value: Any, names: Sequence[str], column: str) -> str | None:
    if isinstance(value, list | dict):
        raise DataError(
            f"column {column!r} holds a {type(value).__name__} where one label a sample is expected"
        )
    if value is None or value != value:  # NaN
        return None
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if names and isinstance(value, int):
        return names[value] if 0 <= value < len(names) else None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = str(value).strip()
    return None if text in ("", "nan", "NaN") else text


def as_numbers(values: Values, column: str) -> NDArray[np.float64]:
    """Values as numbers, missing ones as NaN; raises `DataError` that names the first that is none."""
    try:
        if isinstance(values, pa.ChunkedArray):
            if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
                values = pc.if_else(pc.equal(pc.utf8_trim_whitespace(values), ""), None, values)
            numbers = values.cast(pa.float64()).to_numpy()
        elif isinstance(values, np.ndarray):
            numbers = values.astype(np.float64) if values.ndim == 1 else np.zeros((1, 1))
        else:
            numbers = np.array(
                [np.nan if value is None else value for value in as_list(values)], dtype=np.float64
            )
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError, TypeError):
        raise DataError(f"column {column!r} {_first_word(values)} where numbers are expected") from None
    if numbers.ndim != 1:
        raise DataError(f"column {column!r} holds lists where numbers are expected")
    return np.where(np.isfinite(numbers), numbers, np.nan)


def as_times(values: Values, column: str) -> NDArray[np.float64]:
    """Times as seconds, or as plain numbers where the column holds numbers; raises `DataError`."""
    try:
        return as_numbers(values, column)
    except DataError:
        pass
    texts = values if isinstance(values, pa.ChunkedArray) else pa.chunked_array([list(map(str, values))])
    try:
        moments = texts.cast(pa.timestamp("us"))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise DataError(
            f"column {column!r} holds {texts[0].as_py()!r}, which is neither a number nor a date such as "
            "2024-01-31 or 2024-01-31 12:00"
        ) from None
    return moments.cast(pa.int64()).cast(pa.float64()).to_numpy() / 1e6  # type: ignore[no-any-return]


def is_numeric(values: Values) -> bool:
    """Whether the first values of a column are all numbers or missing."""
    try:
        numbers = as_numbers(values[:BLOCK], "")
    except DataError:
        return False
    return not np.isnan(numbers).all()


def _first_word(values: Values) -> str:
    for row, value in enumerate(as_list(values), start=1):
        try:
            float(value if value is not None else "nan")
        except (TypeError, ValueError):
            return f"holds {str(value)[:40]!r} in row {row}"
    return "holds other things"
