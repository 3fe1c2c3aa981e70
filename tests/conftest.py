"""Every test has a home and a cache of its own, touches no network and uses one core."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

collect_ignore = ["toy"]  # a project of its own, whose tests run where it is installed


def pytest_configure() -> None:
    os.environ["HF_HUB_OFFLINE"] = "1"  # read once, when huggingface_hub is imported


@pytest.fixture(scope="session", autouse=True)
def wheelhouse(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Where `environments` builds our wheels: once, however many workers there are."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    os.environ["ZOO_TEST_WHEELHOUSE"] = str(shared / "wheels")


@pytest.fixture(autouse=True)
def sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "zoo-home"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf-home"))
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    monkeypatch.setenv("ZOO_QUIET", "0")  # set by `zoo -q`, which a test may run in its own process
    monkeypatch.setenv("ZOO_ASK", "0")  # so does `zoo` itself
    for setting in ("ZOO_PLUGINS", "ZOO_STRICT", "ZOO_TIMEOUT", "ZOO_RETRIES"):
        monkeypatch.delenv(setting, raising=False)
    if torch := sys.modules.get("torch"):  # tests that need no torch must not pay for its import
        torch.set_num_threads(1)


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """Puts toy plugins on the path, and forgets them afterwards: a `toys.Site`."""
    import toys  # only tests that need it pay for its imports

    toys.forget()
    thresholds = gc.get_threshold()
    yield toys.Site(tmp_path / "site", monkeypatch)
    gc.set_threshold(*thresholds)
    toys.forget()
