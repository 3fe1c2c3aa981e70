"""What a file has to be before it is used: its size and sha256, by its record or by its first use."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from zoo.errors import WeightsError
from zoo.weights.headers import read_header


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """What is known of a file beforehand; `said` is how it is known, for a message."""

    sha256: str | None = None
    bytes: int | None = None
    said: str = "its record says"

    def fault(self, path: Path) -> str | None:
        """What is not as expected, None where all is."""
        size = path.stat().st_size
        if self.bytes is not None and size != self.bytes:
            return f"has {size:,} bytes, {self.said} {self.bytes:,}"
        if self.sha256 is not None and (found := sha256(path)) != self.sha256:
            return f"is not loaded: its sha256 is {found[:12]}..., {self.said} {self.sha256[:12]}..."
        return None


ANYTHING = Expectation()


def fault_of_new(path: Path, name: str, expected: Expectation) -> str | None:
    """What is wrong with a file that was just fetched as `name`; where no hash is known, it must add up."""
    found = expected.fault(path)
    if found is None and expected.sha256 is None and name.endswith(".safetensors"):
        try:
            read_header(path)
        except WeightsError as error:
            return str(error)
    return found


def sha256(path: Path) -> str:
    """The sha256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
