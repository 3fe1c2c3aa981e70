"""pytest's side of `zoo plugins check`: the options that say what to check (`-p zoo.testing.plugin`)."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds `--zoo-plugin`, `--zoo-models` and `--zoo-check`."""
    group = parser.getgroup("zoo", "checks of a zoo plugin")
    group.addoption("--zoo-plugin", metavar="NAME", help="the plugin to check")
    group.addoption("--zoo-models", metavar="GLOB", default="*", help="only these models")
    group.addoption("--zoo-check", metavar="GLOB", action="append", default=[], help="only these checks")
