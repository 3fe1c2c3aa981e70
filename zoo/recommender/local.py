"""Which weights can be had without the network."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path

from zoo.specs import WeightsSpec


class LocalFiles:
    """What is on this machine; the hub's cache is listed once."""

    def has(self, weights: WeightsSpec) -> bool:
        """Whether one of the sources is a file, a package's file or in a cache, ours or the hub's."""
        return any(self._has(uri) for uri in weights.sources)

    def _has(self, uri: str) -> bool:
        scheme, _, rest = uri.partition(":")
        if scheme == "file":
            return Path(rest.removeprefix("//")).exists()
        if scheme in ("https", "http"):
            from zoo.weights.cache import place  # its package takes 30 ms, which most never need

            return place(uri).is_file()
        if scheme != "hf":
            return scheme == "package"  # a package that lacks its file is a fault to be told of on loading
        parts = rest.removeprefix("//").split("/")
        folder = f"models--{'--'.join(parts[:2]).partition('@')[0]}"
        return folder in self._folders and any(
            hub_cache().glob(f"{folder}/snapshots/*/{'/'.join(parts[2:])}")
        )

    @cached_property
    def _folders(self) -> frozenset[str]:
        folder = hub_cache()
        return frozenset(path.name for path in folder.iterdir()) if folder.is_dir() else frozenset()


def hub_cache() -> Path:
    """Where huggingface_hub keeps files, by the variables that it reads; importing it would be slow."""
    if path := os.environ.get("HF_HUB_CACHE"):
        return Path(path)
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "huggingface")
    return Path(os.environ.get("HF_HOME") or default, "hub")
