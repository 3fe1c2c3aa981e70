"""Weights: files that are not what they say, hashes, and the sources in their order."""

from __future__ import annotations

import json
import pickle
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save, save_file

import zoo
from zoo.weights import fetch_weights
from zoo.weights.headers import read_header
from zoo.weights.sources import fetch, sha256

SMALL = {"bias": torch.arange(3.0), "weight": torch.ones(2, 3)}


@pytest.fixture(autouse=True)
def _offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "small.safetensors"
    save_file(SMALL, path, {"zoo": '{"model": "cnn/lenet5"}', "note": "free text"})
    return path


def spec(*sources: str, **fields: Any) -> zoo.WeightsSpec:
    return zoo.WeightsSpec(tag="mine", model="cnn/lenet5", source=sources, **fields)


def raw(header: bytes, tensors: bytes = b"") -> bytes:
    """A file as the format lays it out, whatever the header says."""
    return len(header).to_bytes(8, "little") + header + tensors


def refused(path: Path) -> str:
    with pytest.raises(zoo.WeightsError) as caught:
        read_header(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    return str(caught.value)


# -- headers ----------------------------------------------------------------------------------


def test_a_header_is_read_as_it_was_written(file: Path) -> None:
    header = read_header(file)
    assert {name: entry.shape for name, entry in header.tensors.items()} == {"bias": (3,), "weight": (2, 3)}
    assert {entry.dtype for entry in header.tensors.values()} == {"F32"}
    assert header.document("zoo") == {"model": "cnn/lenet5"}
    assert header.document("note") is None  # no JSON
    assert header.document("missing") is None


def test_a_file_without_tensors_is_sound(tmp_path: Path) -> None:
    (tmp_path / "none.safetensors").write_bytes(save({}))
    assert read_header(tmp_path / "none.safetensors").tensors == {}


TENSOR = b'{"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}'
DEEP = b"[" * 100_000 + b"]" * 100_000
HOSTILE = {
    "nothing": (b"", "is no safetensors file, or was cut short (0 bytes)"),
    "seven bytes": (b"\1" * 7, "is no safetensors file"),
    "a header longer than the file": ((10**6).to_bytes(8, "little") + b"{}", "was cut short (10 bytes)"),
    "a header of exabytes": (b"\xff" * 8 + b"{}", "is no safetensors file"),
    "no JSON": (raw(b"hello"), "its header is no safetensors header"),
    "a list": (raw(b"[1, 2]"), "its header is no safetensors header"),
    "no UTF-8": (raw(b'{"\xff\xfe": 1}'), "its header is no safetensors header"),
    "a header nested too deep": (raw(b'{"w": ' + DEEP + b"}"), "its header is no safetensors header"),
    "a tensor that is a number": (raw(b'{"w": 3}'), "its header is no safetensors header"),
    "a tensor without a type": (raw(b'{"w": {"shape": [2], "data_offsets": [0, 8]}}', b"\0" * 8), "dtype"),
    "a shape of words": (raw(TENSOR.replace(b"[2]", b'["two"]'), b"\0" * 8), "its header is no safetensors"),
    "metadata that is no text": (raw(b'{"__metadata__": {"zoo": 3}}'), "its header is no safetensors header"),
    "tensors cut short": (raw(TENSOR, b"\0" * 7), "holds 7 bytes of tensors where its header says 8"),
    "bytes left over": (raw(TENSOR, b"\0" * 9), "holds 9 bytes of tensors where its header says 8"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_in_one_line(tmp_path: Path, name: str) -> None:
    content, told = HOSTILE[name]
    path = tmp_path / "hostile.safetensors"
    path.write_bytes(content)
    assert told in refused(path)


def test_a_receipt_nested_too_deep_is_no_receipt(tmp_path: Path) -> None:
    path = tmp_path / "deep.safetensors"
    save_file(SMALL, path, {"zoo": DEEP.decode()})
    assert read_header(path).document("zoo") is None


@pytest.mark.parametrize(
    "header",
    [
        b'{"w": {"dtype": "F32", "shape": [4], "data_offsets": [0, 8]}}',  # more elements than bytes
        b'{"w": {"dtype": "F99", "shape": [2], "data_offsets": [0, 8]}}',
        b'{"w": {"dtype": "F32", "shape": [-2], "data_offsets": [0, 8]}}',
        b'{"w": {"dtype": "F32", "shape": [2], "data_offsets": [-8, 8]}}',
        b'{"w": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}}',  # a hole
        TENSOR[:-1] + b', "v": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}',  # one over another
    ],
)
def test_a_header_that_adds_up_to_nonsense_is_not_loaded(tmp_path: Path, header: bytes) -> None:
    path = tmp_path / "nonsense.safetensors"
    path.write_bytes(raw(header, b"\0" * 8))
    with pytest.raises(zoo.WeightsError) as caught:
        zoo.load("cnn/lenet5", weights=str(path))
    assert "\n" not in str(caught.value)


class Trap:
    """What a pickle would run when it is read."""

    def __init__(self, sprung: Path) -> None:
        self.sprung = sprung

    def __reduce__(self) -> Any:
        return Path.touch, (self.sprung,)


@pytest.mark.parametrize(
    "name", ["model.bin", "model.pt", "model.pth", "model.pkl", "model.ckpt", "model.h5"]
)
def test_a_pickle_is_refused_by_its_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    assert "only safetensors is read, never pickled weights" in refused(tmp_path / name)
    with pytest.raises(zoo.WeightsError, match="never pickled"):
        zoo.load("cnn/lenet5", weights=str(tmp_path / name))
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("write", ["pickle", "torch"])
def test_a_pickle_by_another_name_is_refused_and_not_run(tmp_path: Path, write: str) -> None:
    path = tmp_path / "model.safetensors"
    if write == "pickle":
        path.write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    else:
        torch.save({"w": Trap(tmp_path / "sprung")}, path)
    assert "is no safetensors file" in refused(path)
    with pytest.raises(zoo.WeightsError):
        zoo.load("cnn/lenet5", weights=str(path))
    assert not (tmp_path / "sprung").exists()


# -- sources ----------------------------------------------------------------------------------


def test_a_file_is_found_with_and_without_slashes(file: Path) -> None:
    assert fetch(f"file:{file}") == file
    assert fetch(f"file://{file}") == file


def test_a_folder_stands_for_the_model_in_it(tmp_path: Path) -> None:
    save_file(SMALL, tmp_path / "model.safetensors")
    assert fetch(f"file:{tmp_path}") == tmp_path / "model.safetensors"


def test_a_file_of_an_installed_package_is_found() -> None:
    path = fetch("package://zoo_weights/cnn/lenet5.digits.safetensors")
    package = find_spec("zoo_weights")
    assert package is not None
    assert path == Path(*package.submodule_search_locations or []) / "cnn" / "lenet5.digits.safetensors"


@pytest.mark.parametrize(
    ("uri", "told"),
    [
        ("file:/nowhere/model.safetensors", "file:/nowhere/model.safetensors: no such file"),
        ("package://zoo_weights/cnn/none.safetensors", "the installed 'zoo_weights' has no such file"),
        ("package://zoo_moon/x.safetensors", "'zoo_moon' is not installed; pip install zoo-moon"),
        ("package://not.a.package/x", "is not installed"),
        ("hf://owner", "expected hf://owner/repo"),
        ("hf://owner/repo@main/model.safetensors", "is not in the cache, and ZOO_OFFLINE=1 is set"),
        ("ftp://host/model.safetensors", "is no source of weights; known: package://, hf://, https://"),
    ],
)
def test_a_source_that_cannot_be_had_says_why(uri: str, told: str) -> None:
    with pytest.raises(zoo.WeightsError) as caught:
        fetch(uri)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_first_source_that_can_be_had_is_used(tmp_path: Path, file: Path) -> None:
    other = tmp_path / "other.safetensors"
    save_file(SMALL, other)
    gone = "file:/nowhere/a.safetensors"
    assert fetch_weights(spec(gone, f"file:{file}", f"file:{other}")) == file
    assert fetch_weights(spec(gone, f"file:{other}", f"file:{file}")) == other


def test_every_source_that_failed_is_told() -> None:
    with pytest.raises(zoo.WeightsError) as caught:
        fetch_weights(spec("file:/nowhere/a", "package://zoo_moon/b"))
    assert str(caught.value).startswith("cnn/lenet5.mine cannot be had: file:/nowhere/a: no such file; ")
    assert "pip install zoo-moon" in str(caught.value)


# -- trust ------------------------------------------------------------------------------------


def test_a_file_is_taken_where_size_and_hash_are_as_recorded(file: Path) -> None:
    sound = spec(f"file:{file}", sha256=sha256(file), bytes=file.stat().st_size)
    assert fetch_weights(sound) == file


def test_one_changed_bit_is_noticed(file: Path) -> None:
    recorded = spec(f"file:{file}", sha256=sha256(file), bytes=file.stat().st_size)
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(zoo.WeightsError, match=r"is not loaded: its sha256 is \w{12}..., its record says"):
        fetch_weights(recorded)


def test_another_size_is_noticed(file: Path) -> None:
    size = file.stat().st_size
    recorded = spec(f"file:{file}", sha256=sha256(file), bytes=size)
    file.write_bytes(file.read_bytes() + b"\0")
    with pytest.raises(zoo.WeightsError, match=f"has {size + 1:,} bytes, its record says {size:,}"):
        fetch_weights(recorded)


def test_a_false_file_is_not_passed_over_for_the_next_source(tmp_path: Path, file: Path) -> None:
    """Somebody has changed it: that is for the user to know."""
    other = tmp_path / "other.safetensors"
    other.write_bytes(file.read_bytes())
    recorded = sha256(file)
    file.write_bytes(save({"evil": torch.ones(1)}))
    with pytest.raises(zoo.WeightsError, match="is not loaded"):
        fetch_weights(spec(f"file:{file}", f"file:{other}", sha256=recorded))


# -- reports ----------------------------------------------------------------------------------


def test_a_report_says_what_became_of_the_tensors() -> None:
    report = zoo.LoadReport(source="cnn/lenet5.mine", loaded=("a", "b"), new={"head": "other classes"})
    assert str(report) == "cnn/lenet5.mine: 2 tensors loaded, 1 newly initialised (other classes)"
    assert str(zoo.LoadReport(source="x", loaded=("a",), unused=("b",))) == "x: 1 tensors loaded, 1 unused"


def test_a_receipt_of_another_model_is_refused(tmp_path: Path) -> None:
    run = zoo.installed().model("cnn/convnet.digits")[1]
    assert run is not None
    path = tmp_path / "model.safetensors"
    save_file(SMALL, path, {"zoo": json.dumps(run.receipt)})
    with pytest.raises(zoo.WeightsError, match=r"holds weights of 'cnn/convnet', not of cnn/lenet5"):
        zoo.load("cnn/lenet5", weights=str(path))


@pytest.mark.parametrize("receipt", ["3", "[]", '{"model": "cnn/lenet5"}', '{"model": "cnn/lenet5", "x": 1}'])
def test_a_receipt_that_is_none_is_one_error(tmp_path: Path, receipt: str) -> None:
    path = tmp_path / "model.safetensors"
    save_file(SMALL, path, {"zoo": receipt})
    with pytest.raises(zoo.SpecError) as caught:
        zoo.load("cnn/lenet5", weights=str(path))
    assert "\n" not in str(caught.value)
