"""Manifests: files of records inside a package, with every fault told by file and record."""

from __future__ import annotations

import os
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

import zoo
from zoo.errors import SpecError
from zoo.manifests import read_recipe
from zoo.specs import Facts, ModelSpec, convert

PACKAGE = "toymanifests"
NET = """
[[model]]
name = "net"
family = "cnn"
tasks = ["image-classification"]
builder = "toy.net:net"
"""
RECORD = {"name": "net", "family": "cnn", "tasks": ["image-classification"], "builder": "toy.net:net"}
Write = Callable[[str, str], None]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Writes a file into an importable package."""
    folder = tmp_path / "site" / PACKAGE
    folder.mkdir(parents=True)
    (folder / "__init__.py").touch()
    monkeypatch.syspath_prepend(folder.parent)

    def write_file(name: str, content: str) -> None:
        (folder / name).write_text(content)

    yield write_file
    sys.modules.pop(PACKAGE, None)


def told(read: Callable[[str, str], object], file: str) -> str:
    with pytest.raises(SpecError) as caught:
        read(PACKAGE, file)
    message = str(caught.value)
    assert message.startswith(f"{PACKAGE}/{file}: ")
    assert "\n" not in message
    return message


def as_json(**tables: object) -> str:
    return msgspec.json.encode(tables).decode()


def test_toml_and_json_give_the_same_records(write: Write) -> None:
    write("models.toml", NET)
    write("models.json", as_json(models=[RECORD]))
    expected = [convert(RECORD, ModelSpec, where="")]
    assert zoo.read_models(PACKAGE, "models.toml") == expected
    assert zoo.read_models(PACKAGE, "models.json") == expected


@pytest.mark.parametrize("key", ["model", "models"])
def test_a_list_may_be_named_in_the_singular_or_the_plural(write: Write, key: str) -> None:
    write("models.json", as_json(**{key: [RECORD]}))
    write("models.toml", NET.replace("[[model]]", f"[[{key}]]"))
    assert [model.name for model in zoo.read_models(PACKAGE, "models.json")] == ["net"]
    assert [model.name for model in zoo.read_models(PACKAGE, "models.toml")] == ["net"]


def test_each_kind_of_record_has_its_reader(write: Write) -> None:
    problem = {
        "task": "forecasting",
        "input": {"kind": "series", "channels": 1, "length": 8},
        "output": {"kind": "series", "channels": 1, "length": 2},
    }
    evidence = {"model": "cnn/net", "problem": problem, "source": "here"}
    write("weights.json", as_json(weights=[{"tag": "t", "model": "cnn/net", "source": "file:x"}]))
    write("datasets.json", as_json(datasets=[{"name": "d", "loader": "toy:d", "problem": problem}]))
    write("devices.json", as_json(devices=[{"name": "h100", "kind": "cuda"}]))
    write("evidence.json", as_json(evidence=[evidence]))
    assert [record.name for record in zoo.read_weights(PACKAGE, "weights.json")] == ["cnn/net.t"]
    assert [record.name for record in zoo.read_datasets(PACKAGE, "datasets.json")] == ["d"]
    assert [record.name for record in zoo.read_devices(PACKAGE, "devices.json")] == ["h100"]
    assert [record.model for record in zoo.read_evidence(PACKAGE, "evidence.json")] == ["cnn/net"]


@pytest.mark.parametrize("file", ["models.toml", "models.json"])
def test_a_file_that_is_not_there_is_named(write: Write, file: str) -> None:
    assert "no such file in the package" in told(zoo.read_models, file)


def test_a_package_that_is_not_there_is_named() -> None:
    with pytest.raises(SpecError, match=r"toyabsent/models\.toml: no such file"):
        zoo.read_models("toyabsent", "models.toml")


def test_a_plugin_of_one_module_is_told_what_to_give_as_its_package() -> None:
    with pytest.raises(SpecError, match=r"models\.toml: .*__name__"):
        zoo.read_models("", "models.toml")


@pytest.mark.parametrize(
    ("file", "content"),
    [("models.toml", "[[model]\nname ="), ("models.json", '{"models": [')],
)
def test_a_file_that_cannot_be_read_says_where(write: Write, file: str, content: str) -> None:
    write(file, content)
    assert "cannot be read: " in told(zoo.read_models, file)


def test_a_file_that_is_not_text_is_told(write: Write, tmp_path: Path) -> None:
    (tmp_path / "site" / PACKAGE / "models.toml").write_bytes(b"\xff\xfe\x00name")
    assert "cannot be read: " in told(zoo.read_models, "models.toml")


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("models.toml", ""),
        ("models.toml", 'model = "net"'),
        ("models.json", "[]"),
        ("models.json", "3"),
        ("models.json", '{"datasets": []}'),
    ],
)
def test_a_file_without_the_list_says_which_is_expected(write: Write, file: str, content: str) -> None:
    write(file, content)
    assert "expected a list of 'model' records" in told(zoo.read_models, file)


@pytest.mark.parametrize("extra", [[], [RECORD], 3])
def test_a_key_beside_the_list_is_refused_in_json_and_in_toml(write: Write, extra: object) -> None:
    write("models.json", as_json(models=[RECORD], modles=extra))
    write("models.toml", "modles = 1\n" + NET)
    for file in ("models.json", "models.toml"):
        assert "unknown key 'modles'" in told(zoo.read_models, file)


@pytest.mark.parametrize("suffix", ["toml", "json"])
def test_every_fault_of_every_record_is_listed_with_file_and_record(write: Write, suffix: str) -> None:
    rows = [
        {**RECORD, "name": "good"},
        {**RECORD, "name": "first", "sumary": "x", "builder": "nowhere"},
        {**RECORD, "name": "second", "image_size": 0},
        {"name": "third", "family": "cnn"},
    ]
    document = {"model": rows}
    encoded = msgspec.toml.encode(document) if suffix == "toml" else msgspec.json.encode(document)
    write(f"models.{suffix}", encoded.decode())
    message = told(zoo.read_models, f"models.{suffix}")
    assert ": 3 faults: " in message
    assert (
        "model first: 2 faults: unknown key 'sumary'; did you mean 'summary'?; builder = 'nowhere'" in message
    )
    assert "model second: image_size = 0" in message
    assert "model third: 2 faults: tasks: missing; builder: missing" in message
    assert "good" not in message


def test_a_record_without_a_name_is_told_by_its_number(write: Write) -> None:
    write("devices.toml", '[[device]]\nname = "a"\nkind = "cpu"\n[[device]]\nkind = "cpu"\n')
    assert "device 2: name: missing" in told(zoo.read_devices, "devices.toml")


def test_a_record_that_is_no_table_is_told(write: Write) -> None:
    write("models.json", as_json(models=[3]))
    assert "model 1: Expected `object`" in told(zoo.read_models, "models.json")


# -- facts ------------------------------------------------------------------------------------


def test_facts_are_taken_from_the_file_beside_the_manifest(write: Write) -> None:
    write("models.toml", NET + NET.replace('"net"', '"other"'))
    write("facts.json", as_json(net={"parameters": 5, "macs": 7}))
    net, other = zoo.read_models(PACKAGE, "models.toml")
    assert net.facts == Facts(parameters=5, macs=7)
    assert other.facts is None


def test_facts_in_the_manifest_rule(write: Write) -> None:
    write("models.toml", NET + "facts = { parameters = 1, macs = 2 }\n")
    write("facts.json", as_json(net={"parameters": 5, "macs": 7}))
    assert zoo.read_models(PACKAGE, "models.toml")[0].facts == Facts(parameters=1, macs=2)


@pytest.mark.parametrize("content", ["{", "", "[]", '{"net": {"parameters": "many", "macs": 1}}'])
def test_facts_that_cannot_be_read_are_told_by_their_file(write: Write, content: str) -> None:
    write("models.toml", NET)
    write("facts.json", content)
    with pytest.raises(SpecError, match=f"^{PACKAGE}/facts.json: "):
        zoo.read_models(PACKAGE, "models.toml")


# -- recipes ----------------------------------------------------------------------------------


def test_a_recipe_says_only_what_differs(write: Write) -> None:
    write("net.toml", 'lr = 0.1\nschedule = "step"\n')
    assert read_recipe(PACKAGE, "net.toml").settings == {"lr": 0.1, "schedule": "step"}


def test_every_fault_of_a_recipe_is_listed_with_its_file(write: Write) -> None:
    write("net.toml", "epochs = 0\nlearning_rate = 0.1\n")
    message = told(read_recipe, "net.toml")
    assert "2 faults: unknown key 'learning_rate'" in message
    assert "epochs = 0" in message


def test_a_recipe_that_is_not_there_is_named(write: Write) -> None:
    assert "no such file in the package" in told(read_recipe, "net.toml")


def test_a_manifest_is_read_out_of_an_archive_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = tmp_path / "toy.zip"
    with zipfile.ZipFile(archive, "w") as made:
        made.writestr("toyzipped/__init__.py", "")
        made.writestr("toyzipped/models.toml", NET)
    monkeypatch.syspath_prepend(archive)
    try:
        assert [model.name for model in zoo.read_models("toyzipped", "models.toml")] == ["net"]
    finally:
        sys.modules.pop("toyzipped", None)


# -- what is kept of TOML ---------------------------------------------------------------------


def kept() -> Path:
    (file,) = Path(os.environ["ZOO_HOME"], "manifests").iterdir()
    return file


def test_a_manifest_is_read_from_what_was_kept_until_it_changes(write: Write) -> None:
    write("models.toml", NET)
    first = zoo.read_models(PACKAGE, "models.toml")
    text = kept().read_bytes()
    kept().write_bytes(text.replace(b'"family":"cnn"', b'"family":"kept"'))
    assert zoo.read_models(PACKAGE, "models.toml")[0].family == "kept"  # so it is not parsed again
    write("models.toml", f"{NET}summary = 'new'\n")
    assert zoo.read_models(PACKAGE, "models.toml") == [first[0].replace(summary="new")]
    assert b"'new'" in kept().read_bytes()


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b'{"version": "0.0.0", "text": "", "records": []}'])
def test_what_was_kept_may_be_damaged_or_of_another_version(write: Write, content: bytes) -> None:
    write("models.toml", NET)
    first = zoo.read_models(PACKAGE, "models.toml")
    kept().write_bytes(content)
    assert zoo.read_models(PACKAGE, "models.toml") == first
    assert kept().read_bytes() != content


def test_where_nothing_can_be_kept_manifests_are_read_all_the_same(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "file" / "home"))
    write("models.toml", NET)
    assert [model.name for model in zoo.read_models(PACKAGE, "models.toml")] == ["net"]


def test_nothing_is_kept_of_a_manifest_with_faults(write: Write) -> None:
    write("models.toml", NET.replace("cnn", 'cnn"\nsize = "3'))
    assert "unknown key 'size'" in told(zoo.read_models, "models.toml")
    assert not Path(os.environ["ZOO_HOME"], "manifests").exists()
