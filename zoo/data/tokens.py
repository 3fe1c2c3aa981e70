"""Texts as tokens, one after another: in memory where they are few, else in a file that is mapped."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from zoo import settings
from zoo.data import cache
from zoo.data.documents import Documents, cut
from zoo.errors import DataError
from zoo.tokenizers import Tokenizer, Tokens

PIECE = 1 << 16  # characters that are made tokens of in one go
BATCH = 1 << 20  # characters that a tokenizer gets at once, to share out among threads
MAPPED = 4 << 20  # bytes of text, of which the tokens go to a file
LEARNT = 32 << 20  # bytes of text from which a vocabulary is learnt at most
FORMAT = "zoo tokens 1"


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How a text becomes tokens: at most `room` of them, with what is put before and after it."""

    room: int | None = None
    before: tuple[int, ...] = ()
    after: tuple[int, ...] = ()

    @property
    def inside(self) -> int | None:
        """How many tokens of the text itself there is room for."""
        return None if self.room is None else max(0, self.room - len(self.before) - len(self.after))


class Cut(msgspec.Struct, frozen=True, kw_only=True):
    """What there was no room for: `texts` of `all_texts` are longer, by `tokens` of `all_tokens`."""

    texts: int = 0
    all_texts: int = 0
    tokens: int = 0
    all_tokens: int = 0

    def __add__(self, other: Cut) -> Cut:
        return Cut(
            texts=self.texts + other.texts,
            all_texts=self.all_texts + other.all_texts,
            tokens=self.tokens + other.tokens,
            all_tokens=self.all_tokens + other.all_tokens,
        )


@dataclass(frozen=True)
class Packed:
    """`tokens[starts[n]:starts[n + 1]]` are those of text `n`; `tokens` may be a mapped file."""

    tokens: Tokens
    starts: NDArray[np.int64]
    cut: Cut


def pack_texts(texts: Sequence[str], tokenizer: Tokenizer, layout: Layout) -> Packed:
    """All texts as tokens; those of large ones are kept under `$ZOO_HOME/tokens` and found there again.

    Memory does not grow with the texts, where these are read piece by piece too. Raises `DataError` where
    there is no room for the file.
    """
    if size_of(texts) > MAPPED:
        return _mapped(texts, tokenizer, layout)
    pieces: list[Tokens] = [np.empty(0, dtype=np.int16)]
    starts, left_out = _pack(texts, tokenizer, layout, pieces.append)
    return Packed(np.concatenate(pieces), starts, left_out)


def count_cut(texts: Sequence[str], tokenizer: Tokenizer, layout: Layout) -> Cut:
    """What there is no room for, where the tokens themselves are not wanted."""
    return _pack(texts, tokenizer, layout, lambda _: None)[1]


def size_of(texts: Sequence[str]) -> int:
    """The bytes of all texts, or their characters where that is quicker to tell."""
    sizes = getattr(texts, "sizes", None)
    return int(sizes.sum()) if sizes is not None else sum(map(len, texts))


def pieces_of(texts: Sequence[str], size: int = PIECE) -> Iterator[tuple[str, bool]]:
    """Every text in pieces of at most `size` characters, each with whether its text ends there."""
    passages: Iterable[Any] = texts.passages if isinstance(texts, Documents) else texts
    for text in passages:
        pieces = cut([text] if isinstance(text, str) else text.blocks(), size)
        last = next(pieces)
        for piece in pieces:
            yield last, False
            last = piece
        yield last, True


def some_of(texts: Sequence[str], limit: int = LEARNT) -> Iterator[str]:
    """Pieces of the texts that make about `limit` bytes at most, evenly spread over them."""
    stride = max(1, -(-size_of(texts) // limit))
    for number, (piece, _) in enumerate(pieces_of(texts)):
        if number % stride == 0:
            yield piece


def _pack(
    texts: Sequence[str], tokenizer: Tokenizer, layout: Layout, write: Callable[[Tokens], Any]
) -> tuple[NDArray[np.int64], Cut]:
    """Gives `write` the tokens of all texts, in order; returns where each begins, and what was left out."""
    line, starts = _Line(layout), array("q", [0])
    place = 0
    for batch in _batches(pieces_of(texts)):
        encoded = tokenizer.encode([piece for piece, _ in batch])
        for tokens, (_, last) in zip(encoded, batch, strict=True):
            line.add(tokens, last)
            if last:
                starts.append(place + line.filled)
        written = line.taken()
        place += len(written)
        write(written)
    return np.frombuffer(starts, dtype=np.int64), line.cut


def _batches(pieces: Iterable[tuple[str, bool]]) -> Iterator[list[tuple[str, bool]]]:
    batch: list[tuple[str, bool]] = []
    filled = 0
    for piece in pieces:
        batch.append(piece)
        filled += len(piece[0])
        if filled >= BATCH:
            yield batch
            batch, filled = [], 0
    if batch:
        yield batch


@dataclass
class _Line:
    """Where tokens are put one after another, each text within the layout's room."""

    layout: Layout
    cut: Cut = field(default_factory=Cut)
    filled: int = 0  # tokens since the last were taken
    seen: int = 0  # tokens of the text that is not yet at its end
    opened: bool = False
    pieces: list[Tokens] = field(default_factory=list)

    def add(self, tokens: Tokens, last: bool) -> None:
        """The next tokens of the text, as far as they fit."""
        room = self.layout.inside
        if not self.opened:
            self._put(np.array(self.layout.before, dtype=tokens.dtype))
        self._put(tokens if room is None else tokens[: max(0, room - self.seen)])
        self.seen, self.opened = self.seen + len(tokens), not last
        if last:
            self._put(np.array(self.layout.after, dtype=tokens.dtype))
            over = 0 if room is None else max(0, self.seen - room)
            self.cut += Cut(texts=int(over > 0), all_texts=1, tokens=over, all_tokens=self.seen)
            self.seen = 0

    def taken(self) -> Tokens:
        """All tokens that are here, which are then no longer."""
        tokens = np.concatenate(self.pieces)
        self.pieces, self.filled = [], 0
        return tokens

    def _put(self, tokens: Tokens) -> None:
        self.pieces.append(tokens)
        self.filled += len(tokens)


# -- files ------------------------------------------------------------------------------------


def _mapped(texts: Sequence[str], tokenizer: Tokenizer, layout: Layout) -> Packed:
    try:
        key = _key(texts, tokenizer, layout)
        folder = cache.keep("tokens", key, lambda folder: _write(folder, texts, tokenizer, layout))
    except OSError as error:
        raise DataError(
            f"the tokens of the data cannot be kept in {str(settings.home() / 'tokens')!r}: "
            f"{error.strerror or error}; make room there, or set ZOO_HOME to another folder"
        ) from None
    try:
        told = msgspec.json.decode((folder / "pack.json").read_bytes(), type=_Told)
        tokens = np.memmap(folder / "tokens.bin", dtype=told.dtype, mode="r", shape=(told.tokens,))
        starts = np.load(folder / "starts.npy", mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, msgspec.MsgspecError) as error:
        raise DataError(f"{str(folder)!r} is damaged ({error}); remove it, then begin anew") from None
    return Packed(tokens, starts, told.cut)


class _Told(msgspec.Struct, frozen=True, kw_only=True):
    """What a folder of tokens holds besides them."""

    dtype: str
    tokens: int
    cut: Cut


def _key(texts: Sequence[str], tokenizer: Tokenizer, layout: Layout) -> str:
    digest = hashlib.sha256(f"{FORMAT} {tokenizer.key} {layout}".encode())
    values: Iterable[str] = getattr(texts, "digests", texts)  # files are known by theirs
    for value in values:
        digest.update(value.encode("utf-8", "surrogatepass") + b"\0")
    return digest.hexdigest()


def _write(folder: Path, texts: Sequence[str], tokenizer: Tokenizer, layout: Layout) -> None:
    kind, count = "", 0
    with (folder / "tokens.bin").open("wb") as file:

        def write(tokens: Tokens) -> None:
            nonlocal kind, count
            kind, count = tokens.dtype.str, count + len(tokens)
            file.write(tokens.data)

        starts, left_out = _pack(texts, tokenizer, layout, write)
    np.save(folder / "starts.npy", starts, allow_pickle=False)
    told = _Told(dtype=kind, tokens=count, cut=left_out)
    (folder / "pack.json").write_bytes(msgspec.json.encode(told))
