"""The header of a safetensors file, read without torch and believed only where it adds up.

Layout (safetensors format description): 8 bytes, the header's length as a little-endian unsigned
integer; the header, a JSON object of tensors by name, with `__metadata__` for free text; then
the tensors' bytes, one tensor after the other without holes.
"""

from __future__ import annotations

import json
import stat
from collections.abc import Mapping
from math import prod
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from zoo.errors import WeightsError

MAX_HEADER_BYTES = 100_000_000  # the format's own limit
# Python may need 30 times a header's bytes to read it: within these limits that is the file's own size and
# 256 MiB at most, while a vocabulary of 100,000 words finds room, or as many tensors.
HEADER_BYTES, FILE_BYTES_A_HEADER_BYTE = 8 << 20, 32
MAX_BYTES, MAX_SIDES, MAX_NAME = 2**63 - 1, 64, 512  # of a tensor; torch counts bytes in int64
ITEM_BYTES = {
    "BOOL": 1, "U8": 1, "I8": 1, "U16": 2, "I16": 2, "U32": 4, "I32": 4, "U64": 8, "I64": 8,
    "F8_E4M3": 1, "F8_E5M2": 1, "F8_E8M0": 1, "F8_E4M3FNUZ": 1, "F8_E5M2FNUZ": 1,
    "F16": 2, "BF16": 2, "F32": 4, "F64": 8, "C64": 8,
}  # fmt: skip
UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)  # all that hostile JSON can cause


class Entry(msgspec.Struct, frozen=True):
    """One tensor: its type, shape and the bytes it takes after the header."""

    dtype: str
    shape: tuple[int, ...]
    data_offsets: tuple[int, int]

    @property
    def kind(self) -> str:
        """What its elements are: `float`, `complex`, `boolean` or `integer`."""
        letter = self.dtype.removeprefix("B")[0]  # BF16, BOOL
        return {"F": "float", "C": "complex", "O": "boolean"}.get(letter, "integer")


class Header(msgspec.Struct, frozen=True):
    """A whole header: tensors by name, and the file's metadata."""

    tensors: dict[str, Entry]
    metadata: dict[str, str]

    def document(self, key: str) -> Any:
        """A metadata entry that holds JSON, or None."""
        text = self.metadata.get(key)
        try:
            return msgspec.json.decode(text) if text else None
        except UNREADABLE:
            return None


def check_name(name: str) -> None:
    """Raises `WeightsError` for a path or a URI that is one of pickled weights by its name."""
    if PurePosixPath(name).suffix in {".bin", ".pt", ".pth", ".pkl", ".ckpt", ".h5"}:
        raise WeightsError(
            f"{name}: only safetensors is read, never pickled weights; convert the state dict with "
            "safetensors.torch.save_file where you trust the file"
        )


def read_header(path: Path) -> Header:
    """The header of a safetensors file; raises `WeightsError` where it cannot be one."""
    check_name(str(path))
    try:
        content, room = _cut(path)
        header = _parse(content)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror}") from None
    except (*UNREADABLE, ValueError) as error:
        raise WeightsError(f"{path}: its header is no safetensors header: {error}") from None
    end = 0
    for name, entry in sorted(header.tensors.items(), key=lambda item: item[1].data_offsets):
        if fault := _fault(name, entry, end):
            raise WeightsError(
                f"{path}: its header is no safetensors header: tensor {name[:MAX_NAME]!r} {fault}"
            )
        end = entry.data_offsets[1]
    if end != room:
        raise WeightsError(f"{path}: holds {room:,} bytes of tensors where its header says {end:,}")
    return header


def _cut(path: Path) -> tuple[bytes, int]:
    """The header's bytes, and how many there are after it."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):  # to open a pipe would wait for its other end
        raise WeightsError(f"{path}: is no file")
    size = status.st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > size - 8:
            raise WeightsError(f"{path}: is no safetensors file, or was cut short ({size:,} bytes)")
        limit = min(HEADER_BYTES + size // FILE_BYTES_A_HEADER_BYTE, MAX_HEADER_BYTES)
        if length > limit:
            raise WeightsError(
                f"{path}: has a header of {length:,} bytes where at most {limit:,} are read; write it with "
                "less metadata"
            )
        return file.read(length), size - 8 - length


def _parse(content: bytes) -> Header:
    parts = msgspec.json.decode(content, type=dict[str, msgspec.Raw])
    metadata = msgspec.json.decode(parts.pop("__metadata__", b"{}"), type=dict[str, str])
    tensors = {name: _ENTRY.decode(part) for name, part in parts.items()}
    json.loads(content, object_pairs_hook=_once)  # msgspec keeps the last of two equal keys and says nothing
    return Header(tensors, metadata)


_ENTRY = msgspec.json.Decoder(Entry)


def _once(pairs: list[tuple[str, Any]]) -> Mapping[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands in it twice")
    return found


def _fault(name: str, entry: Entry, begin: int) -> str | None:
    """What is wrong with a tensor whose bytes should begin at `begin`."""
    if len(name) > MAX_NAME or not name.isprintable():
        return f"has a name that is too long, or cannot be printed ({len(name):,} characters)"
    if entry.dtype not in ITEM_BYTES:
        return f"is of type {entry.dtype[:MAX_NAME]!r}, which is not read; known: {', '.join(ITEM_BYTES)}"
    item, (first, end) = ITEM_BYTES[entry.dtype], entry.data_offsets
    if min(*entry.shape, first, end) < 0 or len(entry.shape) > MAX_SIDES:
        return f"has a number below 0, or {len(entry.shape):,} dimensions; at most {MAX_SIDES} are read"
    if max(first, end, item * prod(max(side, 1) for side in entry.shape)) > MAX_BYTES:
        return "has more bytes than can be counted"
    if first != begin:
        return f"has bytes from {first:,} where those before it end at {begin:,}"
    if end - first != item * prod(entry.shape):
        shape = "x".join(map(str, entry.shape)) or "scalar"
        return f"has {end - first:,} bytes where {shape} {entry.dtype} takes {item * prod(entry.shape):,}"
    return None
