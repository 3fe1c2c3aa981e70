"""Data sets: the embedded samples, those of plugins, and the user's own files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo.data.dataset import Dataset
    from zoo.data.load import load_dataset

__all__ = ["Dataset", "load_dataset"]


def __getattr__(name: str) -> Any:
    if name == "Dataset":
        from zoo.data.dataset import Dataset

        return Dataset
    if name == "load_dataset":
        from zoo.data.load import load_dataset

        return load_dataset
    raise AttributeError(f"module 'zoo.data' has no attribute {name!r}")
