"""Every test has a home and a cache of its own, touches no network and uses one core."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest


def pytest_configure() -> None:
    os.environ["HF_HUB_OFFLINE"] = "1"  # read once, when huggingface_hub is imported


@pytest.fixture(autouse=True)
def sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "zoo-home"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf-home"))
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    for setting in ("ZOO_PLUGINS", "ZOO_STRICT"):
        monkeypatch.delenv(setting, raising=False)
    if torch := sys.modules.get("torch"):  # tests that need no torch must not pay for its import
        torch.set_num_threads(1)
