"""Questions about paths that users gave, which may be no paths at all."""

from __future__ import annotations

import os
from pathlib import Path


def exists(path: str | os.PathLike[str]) -> bool:
    """Whether anything is there; what can be no path, such as a name of 5,000 letters, is not."""
    try:
        return Path(path).exists()
    except (OSError, ValueError):
        return False


def is_file(*parts: str | os.PathLike[str]) -> bool:
    """Whether a file is there, likewise."""
    try:
        return Path(*parts).is_file()
    except (OSError, ValueError):
        return False


def is_folder(*parts: str | os.PathLike[str]) -> bool:
    """Whether a folder is there, likewise."""
    try:
        return Path(*parts).is_dir()
    except (OSError, ValueError):
        return False
