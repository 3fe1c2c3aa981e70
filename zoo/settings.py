"""Where zoo keeps what outlasts a command, and the few settings that a user makes."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from zoo.errors import ZooError
from zoo.paths import write_whole
from zoo.units import parse_bytes


def home() -> Path:
    """`$ZOO_HOME`, or `zoo` in the user's cache folder; not created here."""
    if path := os.environ.get("ZOO_HOME"):
        return Path(path)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "zoo"


def offline() -> bool:
    """Whether the network must not be touched."""
    return os.environ.get("ZOO_OFFLINE") == "1"


def timeout() -> float:
    """Seconds without a byte after which a download is taken for stalled: `ZOO_TIMEOUT`, else 30."""
    return _number("ZOO_TIMEOUT", 30.0, "seconds, such as 30")


def retries() -> int:
    """How often in a row a download that gets nowhere is tried again: `ZOO_RETRIES`, else 5."""
    return int(_number("ZOO_RETRIES", 5.0, "a number, such as 5"))


def cache_bytes() -> int:
    """How much may be kept of what was made of data: `ZOO_CACHE_SIZE`, such as 20GB, else 50 GB."""
    text = os.environ.get("ZOO_CACHE_SIZE") or "50GB"
    try:
        return parse_bytes(text)
    except ZooError:
        raise ZooError(f"ZOO_CACHE_SIZE={text!r} is not a size, such as 20GB") from None


def asks() -> bool:
    """Whether a large download is asked about: the `zoo` command sets `ZOO_ASK=1`, unless it is set."""
    return os.environ.get("ZOO_ASK") == "1"


def strict() -> bool:
    """Whether a plugin that would be set aside is an error."""
    return os.environ.get("ZOO_STRICT") == "1"


def quiet() -> bool:
    """Whether warnings are kept back; `zoo -q` sets this for itself and for the processes that it starts."""
    return os.environ.get("ZOO_QUIET") == "1"


def selected_plugins() -> frozenset[str] | None:
    """The plugins that `ZOO_PLUGINS` names, which are then the only ones; None where it is not set."""
    only = os.environ.get("ZOO_PLUGINS")
    return None if only is None else frozenset(name.strip() for name in only.split(","))


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


def set_disabled(plugin: str, disabled: bool) -> None:
    """Puts a plugin off, or takes it back; raises `ZooError` where that cannot be kept."""
    names = disabled_plugins() - {plugin} | ({plugin} if disabled else set())
    path = _settings_file()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, msgspec.json.encode({"disabled": sorted(names)}))
    except OSError as error:
        raise ZooError(
            f"{path} cannot be written: {error.strerror}; set ZOO_HOME to another folder"
        ) from None


def _number(name: str, default: float, expected: str) -> float:
    text = os.environ.get(name) or str(default)
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise ZooError(f"{name}={text!r} is not {expected}")
    return value


def _settings_file() -> Path:
    return home() / "settings.json"
