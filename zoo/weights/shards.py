"""Weights in several files: an index that says which tensor is in which of the files beside it.

The layout is that of the hub (`model.safetensors.index.json`): `weight_map` maps tensors' names to files;
`metadata` may map each file to its sha256 under `sha256`, which an index with a recorded hash vouches for.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from zoo.errors import WeightsError
from zoo.weights.headers import UNREADABLE, Entry, Header, read_header

SUFFIX = ".safetensors.index.json"
LONGEST = 8 << 20  # bytes of an index, as of a header; 100,000 tensors find room


class Index(msgspec.Struct, frozen=True):
    """Which tensor is in which file."""

    weight_map: dict[str, str]
    metadata: dict[str, Any] = {}

    @property
    def files(self) -> dict[str, str | None]:
        """The files' names in order, each with its sha256 where the index states it."""
        known = self.metadata.get("sha256")
        hashes = known if isinstance(known, dict) else {}
        return {name: hashes.get(name) for name in sorted(set(self.weight_map.values()))}


def is_index(name: str) -> bool:
    """Whether a file's name or URI is one of an index."""
    return name.partition("?")[0].endswith(SUFFIX)


def read_index(path: Path) -> Index:
    """An index that names files beside it and no others; raises `WeightsError`."""
    try:
        if path.stat().st_size > LONGEST:
            raise WeightsError(f"{path}: is too long for an index")
        index = msgspec.json.decode(path.read_bytes(), type=Index)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror}") from None
    except UNREADABLE as error:
        raise WeightsError(f"{path}: is no index of weights: {error}") from None
    if not index.weight_map:
        raise WeightsError(f"{path}: names no tensors")
    for name, digest in index.files.items():
        if not name.endswith(".safetensors") or set(name) & set("/\\:?#%\0\n"):
            raise WeightsError(f"{path}: names {name!r}, which is no safetensors file beside it")
        if digest is not None and not (isinstance(digest, str) and len(digest) == 64):
            raise WeightsError(f"{path}: states {digest!r} as the sha256 of {name}")
    return index


def files_of(path: Path) -> tuple[Path, ...]:
    """The safetensors files that hold the weights at `path`: itself, or those that it is the index of."""
    if not is_index(path.name):
        return (path,)
    return tuple(path.with_name(name) for name in read_index(path).files)


def read_headers(path: Path) -> Header:
    """The header of a file, or those of an index's files as one; raises `WeightsError`.

    Every tensor is in the file that the index says, and in no other.
    """
    if not is_index(path.name):
        return read_header(path)
    index = read_index(path)
    tensors: dict[str, Entry] = {}
    metadata: dict[str, str] = {}
    for name in index.files:
        header = read_header(path.with_name(name))
        named = {tensor for tensor, file in index.weight_map.items() if file == name}
        if different := sorted(named ^ header.tensors.keys()):
            raise WeightsError(f"{path}: does not say of {name} what is in it: {different[0]!r}")
        tensors |= header.tensors
        metadata |= header.metadata
    return Header(tensors, metadata)
