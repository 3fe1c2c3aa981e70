"""Sizes, times and counts as people write and read them."""

from __future__ import annotations

import re
from collections.abc import Mapping

from zoo.errors import SpecError

_DIGITS = r"([\d.]{1,30})"  # more would overflow a float
_BYTES = {"": 1, "b": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_SECONDS = {"": 1, "ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400}
_COUNTS = {"": 1, "k": 10**3, "m": 10**6, "b": 10**9, "t": 10**12}


def parse_bytes(text: str) -> int:
    """`8GB`, `512 MB` or `6GiB` as bytes; raises `SpecError`."""
    binary = re.fullmatch(rf"\s*{_DIGITS}\s*([kmgt])ib\s*", text.lower())
    if binary:
        return round(_number(binary[1], text) * 2.0 ** (10 * ("kmgt".index(binary[2]) + 1)))
    return round(_scaled(text, r"([kmgt]?)b?", _BYTES, "a size such as 8GB"))


def parse_seconds(text: str) -> float:
    """`90`, `20ms`, `45s`, `30m`, `2h` or `1d` as seconds; raises `SpecError`."""
    return _scaled(text, r"(ms|[smhd]?)", _SECONDS, "a time such as 30m")


def parse_count(text: str) -> int:
    """`5000`, `25M` or `1.5B` as a number; raises `SpecError`."""
    return round(_scaled(text, r"([kmbt]?)", _COUNTS, "a number such as 25M"))


def format_bytes(count: float) -> str:
    """Bytes with two or three digits: `843 MB`, `2.9 GB`."""
    return _shortened(count, (" B", " kB", " MB", " GB", " TB"))


def format_count(count: float) -> str:
    """A number with two or three digits: `61.7k`, `25.6M`."""
    return _shortened(count, ("", "k", "M", "B", "T"))


def format_seconds(seconds: float) -> str:
    """A time in its largest fitting unit: `0.4 s`, `42 s`, `9 m`, `3.5 h`, `2.0 d`."""
    for unit, lower, name in ((86_400, 3600, "d"), (3600, 60, "h"), (60, 1, "m")):
        if seconds >= unit - lower / 2:  # what would be written as 60 of the lower unit is one of this
            value = seconds / unit
            return f"{value:.1f} {name}" if value < 9.95 and name != "m" else f"{value:.0f} {name}"
    return f"{seconds:.0f} s" if seconds >= 9.95 else f"{seconds:.1f} s"


def format_metric(value: float, unit: str) -> str:
    """A metric as it is read: a `fraction` in per cent, a `number` with four digits."""
    return f"{100 * value:.1f}%" if unit == "fraction" else f"{value:.4g}"


def _scaled(text: str, unit: str, scale: Mapping[str, float], expected: str) -> float:
    match = re.fullmatch(rf"\s*{_DIGITS}\s*{unit}\s*", text.lower())
    if match is None:
        raise SpecError("value", [f"{text!r} is not {expected}"])
    return _number(match[1], text) * scale[match[2]]


def _number(digits: str, text: str) -> float:
    try:
        return float(digits)
    except ValueError:
        raise SpecError("value", [f"{text!r} is not a number"]) from None


def _shortened(count: float, units: tuple[str, ...]) -> str:
    power = 0
    while count >= 999.5 and power < len(units) - 1:
        count, power = count / 1000, power + 1
    digits = 0 if count >= 99.95 or power == 0 else 1
    return f"{count:.{digits}f}{units[power]}"
