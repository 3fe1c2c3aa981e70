"""The header of a safetensors file, read without torch and believed only where it adds up.

Layout (safetensors format description): 8 bytes, the header's length as a little-endian unsigned
integer; the header, a JSON object of tensors by name, with `__metadata__` for free text; then
the tensors' bytes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from zoo.errors import WeightsError

MAX_HEADER_BYTES = 100_000_000  # the format's own limit
UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)  # all that a hostile file can cause


class Entry(msgspec.Struct, frozen=True):
    """One tensor: its type, shape and the bytes it takes after the header."""

    dtype: str
    shape: tuple[int, ...]
    data_offsets: tuple[int, int]


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


def read_header(path: Path) -> Header:
    """The header of a safetensors file; raises `WeightsError` where it cannot be one."""
    if path.suffix in {".bin", ".pt", ".pth", ".pkl", ".ckpt", ".h5"}:
        raise WeightsError(
            f"{path}: only safetensors is read, never pickled weights; convert the state dict with "
            "safetensors.torch.save_file where you trust the file"
        )
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            length = int.from_bytes(file.read(8), "little")
            if size < 8 or length > min(size - 8, MAX_HEADER_BYTES):
                raise WeightsError(f"{path}: is no safetensors file, or was cut short ({size:,} bytes)")
            raw = msgspec.json.decode(file.read(length), type=dict[str, Any])
            metadata = msgspec.convert(raw.pop("__metadata__", {}), dict[str, str])
            tensors = msgspec.convert(raw, dict[str, Entry])
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror}") from None
    except UNREADABLE as error:
        raise WeightsError(f"{path}: its header is no safetensors header: {error}") from None
    end = max((entry.data_offsets[1] for entry in tensors.values()), default=0)
    if end != size - 8 - length:
        raise WeightsError(
            f"{path}: holds {size - 8 - length:,} bytes of tensors where its header says {end:,}"
        )
    return Header(tensors, metadata)
