"""Which architectures the installed timm has, told without importing it: that takes seconds."""

from __future__ import annotations

import re
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

_REGISTERED = re.compile(r"^@register_model\s+def (\w+)\(", re.MULTILINE)


def has_all_of(release: str) -> bool:
    """Whether the installed timm is that very release."""
    return version("timm") == release


def architectures() -> set[str]:
    """The names that the installed timm's sources register."""
    found = find_spec("timm")
    folders = found.submodule_search_locations if found else None
    files = Path(folders[0], "models").glob("*.py") if folders else ()
    return {name for file in files for name in _REGISTERED.findall(file.read_text(encoding="utf-8"))}
