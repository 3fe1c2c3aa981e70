"""Which architectures the installed timm has, told without importing it: that takes seconds."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

_REGISTERED = re.compile(r"^@register_model\s+def (\w+)\(", re.MULTILINE)
_VERSION = re.compile(r"^__version__ = ['\"](.+)['\"]$", re.MULTILINE)


def has_all_of(release: str) -> bool:
    """Whether the installed timm is that very release, by its source: metadata is slow to ask for."""
    file = _folder() / "version.py"
    told = _VERSION.search(file.read_text(encoding="utf-8")) if file.is_file() else None
    return told is not None and told[1] == release


def architectures() -> set[str]:
    """The names that the installed timm's sources register."""
    files = (_folder() / "models").glob("*.py")
    return {name for file in files for name in _REGISTERED.findall(file.read_text(encoding="utf-8"))}


def _folder() -> Path:
    found = find_spec("timm")
    return Path((found.submodule_search_locations or [""])[0] if found else "")
