"""Tensors as a safetensors file, written in one go."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from zoo.paths import whole_at


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """The file whole, or the old one as it was; written from where the tensors are, without a copy of them.

    Raises `OSError` or `SafetensorError` where it cannot be written.
    """
    with whole_at(path) as partial:
        save_file(dict(tensors), partial, metadata)
