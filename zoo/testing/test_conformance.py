"""The tests that `zoo plugins check` runs."""

from __future__ import annotations

import pytest

from zoo.testing import Check, parametrize


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test for each model and check of the plugin that the options name."""
    option = metafunc.config.getoption
    chosen = parametrize(
        option("--zoo-plugin"), models=option("--zoo-models"), checks=option("--zoo-check") or "*"
    )
    metafunc.parametrize(*chosen.args, **chosen.kwargs)


def test_conformance(check: Check) -> None:
    """Passes the check."""
    check.run()
