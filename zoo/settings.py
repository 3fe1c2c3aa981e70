"""Where zoo keeps what outlasts a command, and the few settings that a user makes."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from zoo.errors import ZooError


def home() -> Path:
    """`$ZOO_HOME`, or `zoo` in the user's cache folder; not created here."""
    if path := os.environ.get("ZOO_HOME"):
        return Path(path)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "zoo"


def offline() -> bool:
    """Whether the network must not be touched."""
    return os.environ.get("ZOO_OFFLINE") == "1"


def disabled_plugins() -> frozenset[str]:
    """The plugins that `zoo plugins disable` has put off."""
    path = _settings_file()
    if not path.exists():
        return frozenset()
    try:
        return frozenset(
            msgspec.json.decode(path.read_bytes(), type=dict[str, list[str]]).get("disabled", ())
        )
    except (OSError, msgspec.MsgspecError) as error:
        raise ZooError(f"{path} cannot be read ({error}); mend or remove it") from None


def _settings_file() -> Path:
    return home() / "settings.json"
