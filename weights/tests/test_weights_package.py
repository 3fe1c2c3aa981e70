"""The shipped weights are what their records say."""

from __future__ import annotations

from pathlib import Path

import pytest

import zoo
import zoo_weights
from zoo.weights.sources import sha256

FOLDER = Path(zoo_weights.__file__).parent
SPECS = {spec.name: spec for spec in zoo_weights.zoo_weights()}
LARGEST, ALL = 8_000_000, 60_000_000  # bytes


def test_every_plugin_has_weights_and_no_file_is_left_over() -> None:
    assert {name.split("/")[0] for name in SPECS} == {"cnn", "lstm", "timm", "transformer"}
    files = {path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*.safetensors")}
    assert files == {spec.sources[0].removeprefix("package://zoo_weights/") for spec in SPECS.values()}


def test_files_are_small() -> None:
    sizes = [path.stat().st_size for path in FOLDER.rglob("*.safetensors")]
    assert max(sizes) <= LARGEST
    assert sum(sizes) <= ALL


@pytest.mark.parametrize("name", SPECS)
def test_weights_load_and_answer_as_recorded(name: str) -> None:
    spec = SPECS[name]
    assert sha256(FOLDER / spec.sources[0].removeprefix("package://zoo_weights/")) == spec.sha256
    module = zoo.load(name, verify=True)
    assert not module.zoo.report.new
    assert not module.zoo.report.unused


@pytest.mark.parametrize("name", SPECS)
def test_a_record_says_how_the_weights_were_made(name: str) -> None:
    spec = SPECS[name]
    assert spec.license == "Apache-2.0"
    assert spec.data_license
    assert spec.metrics
    assert {"recipe", "data", "versions", "problem", "preprocess"} <= set(spec.receipt)
    assert len(spec.receipt["data"]["fingerprint"]) == 64
