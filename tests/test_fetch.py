"""Weights over the network: what may go wrong on the way, and that nothing false is ever used."""

from __future__ import annotations

import hashlib
import json
import os
import pty
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hub import COMMIT, Fault, Server, serving
from safetensors.numpy import load_file, save

import zoo
from zoo.recommender.local import LocalFiles
from zoo.weights import cache, fetch_weights, pins
from zoo.weights.https import retry_after
from zoo.weights.sources import fetch, find_local

WEIGHT = np.random.default_rng(0).normal(size=(256, 256)).astype(np.float32)
FILE = save({"weight": WEIGHT})
SHA = hashlib.sha256(FILE).hexdigest()
SIZE = len(FILE)
PLAIN, HUB = "/store/model.safetensors", "/owner/repo/resolve/*/model.safetensors"
HUB_URI = "hf://owner/repo/model.safetensors"
CUTS = [0, 1, 8, SIZE // 2, SIZE - 1]


@pytest.fixture(autouse=True)
def online(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"ZOO_OFFLINE": "0", "ZOO_TIMEOUT": "5", "ZOO_RETRIES": "0", "NO_PROXY": "*"}.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def server() -> Iterator[Server]:
    with serving({PLAIN: FILE, HUB: FILE}) as made:
        yield made


def spec(*sources: str, **fields: Any) -> zoo.WeightsSpec:
    return zoo.WeightsSpec(tag="mine", model="cnn/lenet5", source=sources, **{"sha256": SHA, **fields})


def plain(server: Server, **fields: Any) -> zoo.WeightsSpec:
    return spec(server.url + PLAIN, **fields)


def refused(wanted: zoo.WeightsSpec) -> str:
    """The one line that says why, with the URI; nothing whole is left in the cache."""
    with pytest.raises(zoo.WeightsError) as caught:
        fetch_weights(wanted)
    told = str(caught.value)
    assert "\n" not in told
    assert wanted.sources[0] in told
    assert not placed()
    return told


def placed() -> list[Path]:
    """The files of the cache under names by which they would be used."""
    return [path for path in cache.root().glob("*/*") if path.suffix == ".safetensors"]


def ranges(server: Server) -> list[str | None]:
    return [asked.headers.get("Range") for asked in server.gets()]


# -- one file ---------------------------------------------------------------------------------


def test_a_file_is_fetched_once_and_then_found(server: Server) -> None:
    path = fetch_weights(plain(server, bytes=SIZE))
    assert path.read_bytes() == FILE
    assert fetch_weights(plain(server, bytes=SIZE)) == path
    assert find_local(plain(server)) == path
    assert len(server.gets()) == 1
    assert [found for found in path.parent.iterdir() if found != path] == []


def test_the_next_source_stands_in_for_one_that_cannot_be_had(server: Server) -> None:
    gone = f"{server.url}/gone.safetensors"
    assert fetch_weights(spec(gone, server.url + PLAIN)).read_bytes() == FILE


@pytest.mark.parametrize(
    ("uri", "told"),
    [
        ("http://example.org/model.safetensors", "plain http can be changed on its way; use https"),
        ("http://127.0.0.1.example.org/x.safetensors", "plain http can be changed on its way"),
        ("https:///model.safetensors", "is no address; expected https://HOST/PATH"),
        ("https://[::1/model.safetensors", "is no address"),
        ("https://host:port/model.safetensors", "is no address"),
    ],
)
def test_an_address_that_cannot_be_trusted_is_not_asked(uri: str, told: str) -> None:
    assert told in refused(spec(uri))


def test_a_redirect_to_plain_http_elsewhere_is_not_followed(server: Server) -> None:
    server.always = Fault(status=302, headers={"Location": "http://example.org/model.safetensors"})
    told = refused(plain(server))
    assert "is redirected to http://example.org/model.safetensors: plain http can be changed on" in told


def test_a_pickle_is_not_even_fetched(server: Server) -> None:
    server.files["/store/model.bin"] = b"pickled"
    assert "only safetensors is read, never pickled weights" in refused(spec(f"{server.url}/store/model.bin"))
    assert server.asked == []


def test_the_recommender_knows_what_has_been_fetched(server: Server) -> None:
    assert not LocalFiles().has(plain(server))
    fetch_weights(plain(server))
    assert LocalFiles().has(plain(server))


def test_addresses_that_differ_anywhere_have_places_of_their_own() -> None:
    uris = [
        "https://host/a/model.safetensors",
        "https://host/b/model.safetensors",
        "https://other/a/model.safetensors",
        "https://host/a/model.safetensors?version=2",
        "https://host:8443/a/model.safetensors",
    ]
    assert len({cache.place(uri) for uri in uris}) == len(uris)
    for strange in (
        "https://host/a/%2e%2e%2f%2e%2e%2fetc",
        "https://host/..",
        "https://host/",
        "https://host",
    ):
        assert cache.place(strange).parent.parent == cache.root()


# -- cut, changed, refused, slow --------------------------------------------------------------


@pytest.mark.parametrize("cut", CUTS)
def test_a_download_that_was_cut_goes_on_at_that_byte(server: Server, cut: int) -> None:
    server.faults.append(Fault(cut=cut))
    assert "the connection broke" in refused(plain(server))
    assert fetch_weights(plain(server)).read_bytes() == FILE
    assert ranges(server) == [None, f"bytes={cut}-" if cut else None]
    assert sum(asked.sent[0] for asked in server.gets()) == SIZE


@pytest.mark.parametrize("cut", CUTS)
def test_a_download_that_was_cut_goes_on_within_one_call(
    server: Server, cut: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_RETRIES", "1")
    server.faults.append(Fault(cut=cut))
    assert fetch_weights(plain(server)).read_bytes() == FILE
    assert sum(asked.sent[0] for asked in server.gets()) == SIZE


def test_a_whole_file_that_did_not_get_its_name_is_not_fetched_again(server: Server) -> None:
    server.faults.append(Fault(cut=SIZE - 1))
    refused(plain(server))
    partial = cache.beside(cache.place(server.url + PLAIN), cache.PARTIAL)
    partial.write_bytes(FILE)
    assert fetch_weights(plain(server)).read_bytes() == FILE  # its length is asked for
    assert [asked.sent[0] for asked in server.gets()] == [SIZE - 1, 0]
    refetched = plain(server, bytes=SIZE)
    fetch_weights(refetched).replace(partial)
    assert fetch_weights(refetched).read_bytes() == FILE  # and where it is known, nothing
    assert len(server.gets()) == 2


def test_a_server_that_knows_no_ranges_sends_all_again(server: Server) -> None:
    server.ranges = False
    server.faults.append(Fault(cut=1000))
    refused(plain(server))
    assert fetch_weights(plain(server)).read_bytes() == FILE


@pytest.mark.parametrize("sha256", [SHA, None])
def test_a_file_that_changed_between_the_parts_is_not_patched_together(
    server: Server, sha256: str | None
) -> None:
    new = save({"weight": WEIGHT + 1})
    server.files[PLAIN] = new
    server.faults.append(Fault(cut=SIZE // 2))
    refused(plain(server, sha256=sha256))
    server.files[PLAIN] = FILE
    assert fetch_weights(plain(server, sha256=sha256)).read_bytes() == FILE


def test_parts_of_unknown_versions_are_not_joined_where_no_hash_would_tell(server: Server) -> None:
    server.versions = False
    server.faults.append(Fault(cut=SIZE // 2))
    refused(plain(server, sha256=None))
    assert fetch_weights(plain(server, sha256=None)).read_bytes() == FILE
    assert ranges(server) == [None, None]


def test_a_flipped_byte_is_noticed_and_the_file_fetched_once_more(server: Server) -> None:
    server.faults.append(Fault(flip=SIZE - 1))
    path = fetch_weights(plain(server))
    assert path.read_bytes() == FILE
    assert len(server.gets()) == 2
    assert cache.beside(path, cache.CORRUPT).read_bytes() != FILE


def test_a_file_that_is_false_twice_is_never_used(server: Server) -> None:
    server.always = Fault(flip=100)
    told = refused(plain(server))
    other = bytearray(FILE)
    other[100] ^= 1
    assert f"its sha256 is {hashlib.sha256(other).hexdigest()[:12]}..., its record says {SHA[:12]}..." in told
    assert "when fetched twice; ask those who brought the record" in told
    assert len(server.gets()) == 2


def test_a_false_file_is_for_the_user_to_know_even_if_there_is_another_source(server: Server) -> None:
    server.files["/other.safetensors"] = save({"evil": WEIGHT})
    refused(spec(f"{server.url}/other.safetensors", server.url + PLAIN))


def test_a_file_that_changed_in_the_cache_is_fetched_anew(server: Server) -> None:
    path = fetch_weights(plain(server))
    path.write_bytes(FILE[:-1] + b"!")
    assert fetch_weights(plain(server)).read_bytes() == FILE
    assert cache.beside(path, cache.CORRUPT).read_bytes() == FILE[:-1] + b"!"


def test_a_file_of_another_length_than_recorded_is_not_even_fetched(server: Server) -> None:
    server.always = Fault(short=5)
    told = refused(plain(server, bytes=SIZE))
    assert f"the server offers {SIZE - 5:,} bytes, its record says {SIZE:,}" in told


@pytest.mark.parametrize("without_length", [False, True])
def test_a_truncated_file_is_noticed_without_a_record_too(server: Server, without_length: bool) -> None:
    server.always = Fault(short=5, without_length=without_length)
    assert f"holds {4 * WEIGHT.size - 5:,} bytes" in refused(plain(server, sha256=None))
    assert pins.pinned(server.url + PLAIN) is None


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (
            401,
            "the server answers 401 Unauthorized; fetch the file with your login, and pass it as file:PATH",
        ),
        (404, "the server answers 404 Not Found: there is no such file (any more); check the address"),
        (204, "the server answers 204 No Content, which is no file; check the address"),
        (429, "the server answers 429 Too Many Requests; try again later"),
        (500, "the server answers 500 Internal Server Error; try again later"),
    ],
)
def test_an_answer_that_is_no_file_is_told(server: Server, status: int, told: str) -> None:
    server.always = Fault(status=status)
    assert told in refused(plain(server))


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_server_that_is_busy_is_asked_again(
    server: Server, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_RETRIES", "2")
    server.faults.extend([Fault(status=status), Fault(status=status, headers={"Retry-After": "0"})])
    assert fetch_weights(plain(server)).read_bytes() == FILE


def test_a_server_that_stays_busy_is_given_up(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_RETRIES", "2")
    server.always = Fault(status=503, headers={"Retry-After": "0"})
    assert "503 Service Unavailable, 3 times in a row; try again later" in refused(plain(server))
    assert len(server.gets()) == 3


def test_a_server_is_given_the_time_that_it_asks_for(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_RETRIES", "1")
    server.faults.append(Fault(status=429, headers={"Retry-After": "1"}))
    start = time.monotonic()
    fetch_weights(plain(server))
    assert time.monotonic() - start >= 1


def test_a_server_that_asks_for_an_hour_is_not_waited_for(server: Server) -> None:
    server.always = Fault(status=429, headers={"Retry-After": "3600"})
    assert "asks to wait 3600 seconds; try again then" in refused(plain(server))
    assert len(server.gets()) == 1


def test_the_time_to_wait_is_read_in_both_forms() -> None:
    assert retry_after("7") == 7
    assert retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    later = retry_after("Wed, 21 Oct 2195 07:28:00 GMT")
    assert later is not None
    assert later > 10**9
    for nonsense in (None, "", "soon", "-1", "1e9", "9" * 40):
        assert retry_after(nonsense) is None


def test_an_endless_redirect_ends(server: Server) -> None:
    server.always = Fault(status=302, headers={"Location": PLAIN})
    assert "is redirected more than 10 times; check the address" in refused(plain(server))
    assert len(server.gets()) == 11


@pytest.mark.parametrize("stall", [0, 1, SIZE // 2])
def test_a_socket_that_falls_silent_is_given_up(
    server: Server, stall: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_TIMEOUT", "0.3")
    server.faults.append(Fault(stall=stall))
    assert "nothing came for 0.3 seconds" in refused(plain(server))
    assert fetch_weights(plain(server)).read_bytes() == FILE
    assert sum(asked.sent[0] for asked in server.gets()) == SIZE


def test_a_server_that_is_not_there_is_told() -> None:
    with serving({}) as server:
        gone = server.url + PLAIN
    assert "cannot be reached: " in refused(spec(gone))


@pytest.mark.parametrize("setting", ["ZOO_TIMEOUT", "ZOO_RETRIES"])
@pytest.mark.parametrize("value", ["soon", "-1", "inf", "nan"])
def test_a_setting_that_is_no_number_is_told(
    server: Server, setting: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(setting, value)
    server.always = Fault(status=500)
    with pytest.raises(zoo.ZooError, match=f"{setting}='{value}' is not "):
        fetch_weights(plain(server))


def test_a_download_that_gets_somewhere_is_not_given_up(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = save({"weight": np.zeros((5, 300_000), np.float32)})
    server.files[PLAIN] = large
    monkeypatch.setenv("ZOO_RETRIES", "1")
    server.faults.extend([Fault(cut=1_100_000)] * 4)
    path = fetch_weights(plain(server, sha256=hashlib.sha256(large).hexdigest()))
    assert path.read_bytes() == large
    assert len(server.gets()) == 5


# -- offline ----------------------------------------------------------------------------------


def test_offline_the_cache_is_enough_and_nothing_else_is_asked(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = fetch_weights(plain(server))
    server.asked.clear()
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    assert fetch_weights(plain(server)) == path
    path.write_bytes(b"false")
    uri = server.url + PLAIN
    with pytest.raises(zoo.WeightsError, match="is not in the cache, and ZOO_OFFLINE=1 is set"):
        fetch_weights(plain(server))
    path.unlink()
    told = refused(plain(server))
    assert "is not in the cache, and ZOO_OFFLINE=1 is set; with a network: " in told
    assert f"ZOO_OFFLINE=0 zoo weights get {uri}" in told
    assert server.asked == []


# -- files without a recorded hash ------------------------------------------------------------


def test_a_file_is_pinned_on_first_use(server: Server) -> None:
    uri = server.url + PLAIN
    path = fetch(uri)
    assert pins.pinned(uri) == pins.Pin(SHA, SIZE)
    assert json.loads((cache.root() / "pins.json").read_bytes())["pins"][uri]["sha256"] == SHA
    path.unlink()
    assert fetch(uri) == path
    assert fetch_weights(plain(server)) == path  # a record goes before a pin


def test_a_file_that_changed_since_its_first_use_is_refused_until_its_pin_is_removed(server: Server) -> None:
    uri = server.url + PLAIN
    fetch(uri).unlink()
    server.files[PLAIN] = save({"weight": WEIGHT + 1})
    told = refused(plain(server, sha256=None))
    assert f"on its first use it was {SHA[:12]}..., when fetched twice; where the change is meant" in told
    assert f"remove its entry from {cache.root() / 'pins.json'}" in told
    (cache.root() / "pins.json").write_text('{"schema": 1, "pins": {}}')
    assert fetch(uri).read_bytes() == server.files[PLAIN]


@pytest.mark.parametrize("content", ["", "[]", '{"pins": {"x": 3}}'])
def test_pins_that_cannot_be_read_are_told(server: Server, content: str) -> None:
    cache.root().mkdir(parents=True)
    (cache.root() / "pins.json").write_text(content)
    with pytest.raises(zoo.WeightsError, match=r"pins\.json cannot be read \(.*\); mend or remove it"):
        fetch(server.url + PLAIN)


# -- several files ----------------------------------------------------------------------------

PARTS = {f"model-{part:05}-of-00002.safetensors": save({f"part{part}": WEIGHT * part}) for part in (1, 2)}


def index(**metadata: Any) -> bytes:
    names = {f"part{part}": name for part, name in zip((1, 2), PARTS, strict=True)}
    return json.dumps({"metadata": metadata, "weight_map": names}).encode()


@pytest.fixture
def sharded(server: Server) -> Server:
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in PARTS.items()}
    server.files = {f"/large/{name}": content for name, content in PARTS.items()}
    server.files["/large/model.safetensors.index.json"] = index(sha256=hashes)
    return server


def of_shards(server: Server, **fields: Any) -> zoo.WeightsSpec:
    digest = hashlib.sha256(server.files["/large/model.safetensors.index.json"]).hexdigest()
    total = sum(map(len, PARTS.values()))
    uri = f"{server.url}/large/model.safetensors.index.json"
    return spec(uri, **{"sha256": digest, "bytes": total, **fields})


def test_every_file_of_an_index_is_fetched_and_checked(sharded: Server) -> None:
    path = fetch_weights(of_shards(sharded))
    assert {file.name: file.read_bytes() for file in path.parent.iterdir()} == {
        path.name: sharded.files[f"/large/{path.name}"],
        **PARTS,
    }
    assert len(sharded.gets()) == 3
    assert find_local(of_shards(sharded)) == path
    (path.parent / next(iter(PARTS))).unlink()
    assert find_local(of_shards(sharded)) is None


def test_a_false_part_is_refused(sharded: Server) -> None:
    name = next(iter(PARTS))
    sharded.files[f"/large/{name}"] = save({"part1": WEIGHT + 1})
    with pytest.raises(zoo.WeightsError, match=rf"{name}: is not loaded: .*\.index\.json says"):
        fetch_weights(of_shards(sharded))


def test_parts_that_are_not_what_is_recorded_together_are_refused(sharded: Server) -> None:
    with pytest.raises(zoo.WeightsError, match=r"its files have .* bytes, its record says 5"):
        fetch_weights(of_shards(sharded, bytes=5))


def test_parts_without_a_hash_are_pinned(sharded: Server) -> None:
    sharded.files["/large/model.safetensors.index.json"] = index()
    path = fetch_weights(of_shards(sharded))
    name = next(iter(PARTS))
    (path.parent / name).unlink()
    sharded.files[f"/large/{name}"] = save({"part1": WEIGHT + 1})
    with pytest.raises(zoo.WeightsError, match="on its first use it was"):
        fetch_weights(of_shards(sharded))


@pytest.mark.parametrize("name", ["../x.safetensors", "/etc/x.safetensors", "a/b.safetensors", "x.bin", ""])
def test_an_index_names_safetensors_beside_it_and_nothing_else(sharded: Server, name: str) -> None:
    sharded.files["/large/model.safetensors.index.json"] = json.dumps({"weight_map": {"w": name}}).encode()
    with pytest.raises(zoo.WeightsError, match="which is no safetensors file beside it"):
        fetch_weights(of_shards(sharded))


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"weight_map": {}}', b'{"weight_map": 3}', b"\xff"])
def test_an_index_that_is_none_is_refused(sharded: Server, content: bytes) -> None:
    sharded.files["/large/model.safetensors.index.json"] = content
    with pytest.raises(zoo.WeightsError, match=r"is no index of weights|names no tensors"):
        fetch_weights(of_shards(sharded))


@pytest.mark.parametrize("scheme", ["file", "https"])
def test_a_model_in_several_files_is_loaded_like_one_in_one(
    server: Server, tmp_path: Path, scheme: str
) -> None:
    whole = fetch("package://zoo_weights/cnn/lenet5.digits.safetensors")
    tensors = load_file(whole)
    names = sorted(tensors)
    parts = {"a.safetensors": names[:3], "b.safetensors": names[3:]}
    where = {tensor: file for file, held in parts.items() for tensor in held}
    files = {file: save({name: tensors[name] for name in held}) for file, held in parts.items()}
    files["model.safetensors.index.json"] = json.dumps({"weight_map": where}).encode()
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
        server.files[f"/lenet/{name}"] = content
    home = str(tmp_path) if scheme == "file" else f"{server.url}/lenet/model.safetensors.index.json"
    problem = zoo.installed().model("cnn/lenet5.digits")[1].problem  # type: ignore[union-attr]
    split = zoo.load("cnn/lenet5", weights=f"file:{home}" if scheme == "file" else home, problem=problem)
    one = zoo.load("cnn/lenet5.digits").state_dict()
    assert split.state_dict().keys() == one.keys()
    assert all(bool((tensor == one[name]).all()) for name, tensor in split.state_dict().items())


def test_an_index_that_disagrees_with_its_files_is_not_loaded(tmp_path: Path) -> None:
    for name, content in PARTS.items():
        (tmp_path / name).write_bytes(content)
    names = {"part1": "model-00002-of-00002.safetensors", "part2": "model-00001-of-00002.safetensors"}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))
    with pytest.raises(zoo.WeightsError, match=r"does not say of model-00001-of-00002\.safetensors what is"):
        zoo.load("cnn/lenet5", weights=f"file:{tmp_path}")


# -- processes of their own -------------------------------------------------------------------

FETCH = """
import sys
import zoo
from zoo.weights import fetch_weights
uri, sha256 = sys.argv[1:]
spec = zoo.WeightsSpec(tag="mine", model="cnn/lenet5", source=uri, sha256=sha256 or None)
try:
    path = fetch_weights(spec)
except zoo.WeightsError as error:
    sys.exit(str(error))
from safetensors.numpy import load_file
print(path, float(load_file(path)["weight"].sum()))
"""
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(server: Server) -> Iterator[Start]:
    """Starts a process that fetches and reads the file."""
    begun = []

    def new(uri: str, sha256: str = SHA, setup: Callable[[], None] | None = None, **settings: str) -> Any:
        hub = {"HF_ENDPOINT": server.url, "HF_HUB_OFFLINE": "0", "HF_HUB_DOWNLOAD_TIMEOUT": "1"}
        process = subprocess.Popen(
            [sys.executable, "-W", "error::ResourceWarning", "-c", FETCH, uri, sha256],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **hub, **settings},
            preexec_fn=setup,
        )
        begun.append(process)
        return process

    yield new
    for process in begun:
        if process.poll() is None:
            process.kill()
        process.communicate()


def good(process: subprocess.Popen[str], weight: Any = WEIGHT) -> Path:
    told, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    path, _, total = told.strip().rpartition(" ")
    assert float(total) == float(weight.sum())
    return Path(path)


def failed(process: subprocess.Popen[str], uri: str) -> str:
    told, errors = process.communicate(timeout=120)
    assert (process.returncode, told) == (1, "")
    line = errors.strip().splitlines()[-1]
    assert line.startswith((f"cnn/lenet5.mine cannot be had: {uri}: ", f"cnn/lenet5.mine: {uri}: "))
    return line


def blobs(tmp_path: Path) -> list[Path]:
    """The files in the hub's cache, whole or not."""
    return [*(tmp_path / "hf-home").glob("hub/models--owner--repo/blobs/*")]


@pytest.mark.slow
@pytest.mark.parametrize("source", ["plain", "hub"])
def test_sixteen_processes_fetch_a_file_once(server: Server, start: Start, source: str) -> None:
    uri = server.url + PLAIN if source == "plain" else HUB_URI
    processes = [start(uri) for _ in range(16)]
    assert len({good(process) for process in processes}) == 1
    assert [asked.sent[0] for asked in server.gets()] == [SIZE]


def test_a_killed_download_is_resumed_by_the_next_process(server: Server, start: Start) -> None:
    uri = server.url + PLAIN
    server.faults.append(Fault(stall=SIZE // 2))
    process = start(uri, ZOO_TIMEOUT="60")
    partial = cache.beside(cache.place(uri), cache.PARTIAL)
    wait_for(lambda: partial.exists() and partial.stat().st_size > SIZE // 4)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    have = partial.stat().st_size
    assert placed() == []
    good(start(uri))
    assert ranges(server) == [None, f"bytes={have}-"]
    assert not partial.exists()


def test_a_killed_download_from_the_hub_leaves_nothing_that_is_used(
    server: Server, start: Start, tmp_path: Path
) -> None:
    server.faults.append(Fault(stall=SIZE // 2))
    process = start(HUB_URI, HF_HUB_DOWNLOAD_TIMEOUT="60")
    wait_for(lambda: bool(blobs(tmp_path)) and any(asked.sent for asked in server.gets()))
    process.send_signal(signal.SIGKILL)
    process.communicate()
    good(start(HUB_URI))
    assert [path.name for path in blobs(tmp_path) if path.suffix != ".incomplete"] == [SHA]


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def no_room() -> None:
    """Lets the process write no file beyond a few pages, as on a full disk."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (SIZE // 2, SIZE // 2))


@pytest.mark.parametrize("source", ["plain", "hub"])
def test_a_full_disk_is_told_and_nothing_is_left_on_it(
    server: Server, start: Start, tmp_path: Path, source: str
) -> None:
    uri = server.url + PLAIN if source == "plain" else HUB_URI
    told = failed(start(uri, setup=no_room), uri)
    assert "disk" in told
    assert "is full; free some space, or set " in told
    assert blobs(tmp_path) == []
    assert not cache.beside(cache.place(uri), cache.PARTIAL).exists()
    good(start(uri))


@pytest.fixture
def tiny_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip("no disk can be mounted here")
    monkeypatch.setenv("ZOO_HOME", str(disk))
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_disk_that_is_too_small_is_told_before_and_while_it_fills(server: Server, tiny_disk: Path) -> None:
    assert f"are to come and {tiny_disk}" in refused(plain(server))
    server.always = Fault(without_length=True)
    assert "is full; free some space, or set ZOO_HOME" in refused(plain(server))
    assert sum(path.stat().st_size for path in tiny_disk.rglob("*") if path.is_file()) < 1000


# -- the hub ----------------------------------------------------------------------------------


def test_a_file_of_the_hub_is_fetched_with_a_token_and_found_again(server: Server, start: Start) -> None:
    path = good(start(HUB_URI, HF_TOKEN="hf_secret"))
    assert path.parent.name == COMMIT
    assert {asked.headers.get("authorization") for asked in server.gets()} == {"Bearer hf_secret"}
    server.asked.clear()
    assert good(start(HUB_URI, ZOO_OFFLINE="1")) == path
    assert good(start(HUB_URI, HF_HUB_OFFLINE="1")) == path
    assert server.asked == []


@pytest.mark.slow
@pytest.mark.parametrize("setting", ["ZOO_OFFLINE", "HF_HUB_OFFLINE"])
def test_offline_a_missing_file_of_the_hub_is_told(server: Server, start: Start, setting: str) -> None:
    told = failed(start(HUB_URI, **{setting: "1"}), HUB_URI)
    assert f"is not in the cache, and {setting}=1 is set; with a network: {setting}=0 zoo weights get" in told
    assert server.asked == []


@pytest.mark.slow
@pytest.mark.parametrize("cut", CUTS)
def test_a_download_from_the_hub_that_was_cut_is_completed(server: Server, start: Start, cut: int) -> None:
    server.faults.append(Fault(cut=cut))
    good(start(HUB_URI))
    assert len(server.gets()) == 2


@pytest.mark.slow
def test_a_large_download_from_the_hub_goes_on_where_it_was_cut(server: Server, start: Start) -> None:
    block = 10 << 20  # that the hub's library writes at a time
    weight = np.full(12 << 18, 0.5, np.float32)
    server.files[HUB] = save({"weight": weight})
    server.faults.append(Fault(cut=11 << 20))
    good(start(HUB_URI, hashlib.sha256(server.files[HUB]).hexdigest()), weight)
    assert ranges(server) == [None, f"bytes={block}-"]


@pytest.mark.slow
def test_a_false_file_of_the_hub_is_removed_and_fetched_once_more(
    server: Server, start: Start, tmp_path: Path
) -> None:
    server.faults.append(Fault(flip=SIZE - 1))
    good(start(HUB_URI))
    assert len(server.gets()) == 2
    (blob,) = blobs(tmp_path)
    blob.write_bytes(FILE[:-1] + b"!")
    good(start(HUB_URI))
    server.always = Fault(flip=5)
    blob.write_bytes(FILE[:-1] + b"!")
    told = failed(start(HUB_URI), HUB_URI)
    assert f", its record says {SHA[:12]}..., when fetched twice; ask those who brought the record" in told
    assert blobs(tmp_path) == []


@pytest.mark.slow
def test_a_file_of_the_hub_is_pinned_with_its_commit(server: Server, start: Start, tmp_path: Path) -> None:
    good(start(HUB_URI, ""))
    assert pins.pinned(HUB_URI) == pins.Pin(SHA, SIZE, COMMIT)
    (blob,) = blobs(tmp_path)
    blob.unlink()
    server.files[HUB] = save({"weight": WEIGHT + 1})
    told = failed(start(HUB_URI, ""), HUB_URI)
    assert f"on its first use it was {SHA[:12]}..., when fetched twice; where the change is meant" in told
    server.files[HUB] = FILE
    server.commit = "1" * 40
    process = start(HUB_URI, "")
    _, errors = process.communicate(timeout=60)
    assert f"zoo: {HUB_URI} has moved from commit 000000000000 to 111111111111" in errors
    assert pins.pinned(HUB_URI) == pins.Pin(SHA, SIZE, "1" * 40)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (Fault(status=401), "the hub answers 401 Unauthorized; log in: hf auth login"),
        (Fault(status=403, headers={"X-Error-Code": "GatedRepo"}), "its owner wants its terms accepted"),
        (Fault(status=404, headers={"X-Error-Code": "RepoNotFound"}), "no such repository"),
        (Fault(status=404, headers={"X-Error-Code": "EntryNotFound"}), "the repository has no such file"),
        (Fault(status=404, headers={"X-Error-Code": "RevisionNotFound"}), "has no such revision"),
        (Fault(status=429, headers={"Retry-After": "3600"}), "the hub answers 429 Too Many Requests"),
        (Fault(status=500), "the hub answers 500 Internal Server Error; try again later"),
        (Fault(status=302, headers={"Location": HUB.replace("*", "main")}), "redirect"),
        (Fault(short=SIZE // 2), "is not loaded: its sha256 is "),
    ],
)
def test_a_fault_of_the_hub_is_one_line_that_says_what_to_do(
    server: Server, start: Start, tmp_path: Path, fault: Fault, told: str
) -> None:
    server.always = fault
    assert told in failed(start(HUB_URI), HUB_URI)
    assert blobs(tmp_path) == []


@pytest.mark.slow
def test_a_hub_that_falls_silent_is_given_up(server: Server, start: Start, tmp_path: Path) -> None:
    server.always = Fault(stall=SIZE // 2)
    assert "nothing came from the hub for too long" in failed(start(HUB_URI), HUB_URI)
    assert blobs(tmp_path) == []


@pytest.mark.slow
def test_a_busy_hub_is_asked_again(server: Server, start: Start) -> None:
    server.faults.extend([Fault(status=429, headers={"Retry-After": "0"})])
    good(start(HUB_URI, ZOO_RETRIES="2"))


def test_every_file_of_an_index_on_the_hub_is_of_one_commit(sharded: Server) -> None:
    sharded.files = {f"/owner/repo/resolve/*/{Path(name).name}": file for name, file in sharded.files.items()}
    uri = "hf://owner/repo/model.safetensors.index.json"
    done = command("weights", "get", uri, HF_ENDPOINT=sharded.url, HF_HUB_OFFLINE="0")
    assert {path.name for path in Path(done.stdout.strip()).parent.iterdir()} == {Path(uri).name, *PARTS}
    asked = {Path(asked.path).name: asked.path.split("/")[4] for asked in sharded.gets()}
    assert asked == {Path(uri).name: "main", **dict.fromkeys(PARTS, COMMIT)}


# -- the commands -----------------------------------------------------------------------------


def command(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "zoo", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **settings},
        check=False,
    )


def on_terminal(*arguments: str, answer: str = "") -> tuple[int, str]:
    """The exit status of a command on a terminal, and what is seen there of its questions and bars."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "zoo", *arguments],
        stdin=theirs,
        stderr=theirs,
        stdout=subprocess.DEVNULL,
        env={name: value for name, value in os.environ.items() if name != "ZOO_ASK"},
    )
    os.close(theirs)
    os.write(ours, answer.encode())
    seen = b""
    try:
        while part := os.read(ours, 4096):
            seen += part
    except OSError:  # how the end of a terminal is told
        pass
    os.close(ours)
    return process.wait(), seen.decode()


def test_a_large_download_is_asked_about_on_a_terminal(server: Server) -> None:
    uri = server.url + PLAIN
    server.always = Fault(claims=200_000_000)
    status, seen = on_terminal("weights", "get", uri, answer="n\n")
    assert status == 1
    assert f"fetch 200 MB from {uri}? [Y/n]: " in seen
    assert f"zoo: {uri}: 200 MB were not fetched, as you said" in seen
    partial = cache.beside(cache.place(uri), cache.PARTIAL)
    assert partial.stat().st_size == 0
    _, seen = on_terminal("weights", "get", uri, answer="y\n")
    assert "the connection broke" in seen
    assert partial.stat().st_size == SIZE


def test_a_large_download_is_told_without_a_question_where_none_is_wanted(server: Server) -> None:
    server.files = {f"/{name}.safetensors": FILE for name in ("yes", "pipe", "quiet")}
    server.always = Fault(claims=200_000_000)
    yes, pipe, quiet = (server.url + path for path in server.files)
    piped = command("weights", "get", pipe, ZOO_ASK="1")
    seen = {yes: on_terminal("weights", "get", yes, "--yes"), pipe: (piped.returncode, piped.stderr)}
    for uri, (status, told) in seen.items():
        assert status == 1  # all of it never comes
        assert f"zoo: fetching 200 MB from {uri}" in told
        assert "[Y/n]" not in told
    assert "fetching" not in command("-q", "weights", "get", quiet).stderr


def test_a_bar_is_shown_on_a_terminal_and_not_when_all_is_to_be_quiet(server: Server) -> None:
    status, seen = on_terminal("weights", "get", server.url + PLAIN)
    assert status == 0
    assert "model.safetensors" in seen
    server.files["/b.safetensors"] = FILE
    assert on_terminal("-q", "weights", "get", f"{server.url}/b.safetensors") == (0, "")


def test_weights_are_got_by_name_and_by_uri(server: Server) -> None:
    uri = server.url + PLAIN
    done = command("weights", "get", "cnn/lenet5.digits", uri, "--yes")
    assert done.stderr == ""
    assert done.stdout.splitlines()[0].endswith("lenet5.digits.safetensors")
    assert done.stdout.splitlines()[1] == str(cache.place(uri))
    bare = command("weights", "get", "cnn/lenet5")
    assert bare.returncode == 1
    assert bare.stderr == "zoo: 'cnn/lenet5' names no weights; say cnn/lenet5.TAG (tags: digits)\n"


def test_what_nothing_needs_is_removed_and_no_more(server: Server) -> None:
    path = fetch(server.url + PLAIN)
    server.files["/b/model.safetensors"] = FILE
    server.always = Fault(cut=10)
    refused_part = server.url + "/b/model.safetensors"
    with pytest.raises(zoo.WeightsError):
        fetch(refused_part)
    partial = cache.beside(cache.place(refused_part), cache.PARTIAL)
    false = cache.beside(path, cache.CORRUPT)
    false.write_bytes(b"false")
    shown = command("weights", "gc", "--dry-run")
    assert f"{partial} (partial): 10 bytes\n" in shown.stdout
    assert f"{false} (false): 5 bytes\n" in shown.stdout
    assert f"{path} (of no installed weights): {SIZE:,} bytes\n" in shown.stdout
    assert path.exists()
    with cache.locked(cache.key_of(cache.place(refused_part))):  # somebody is about to fetch it
        done = command("weights", "gc")
    assert (path.exists(), false.exists(), partial.exists()) == (False, False, True)
    assert done.stdout.endswith(" bytes were freed\n")
    assert pins.pinned(server.url + PLAIN) is not None
    assert command("weights", "gc").returncode == 0
    assert not partial.parent.exists()


def test_files_of_known_weights_are_kept(server: Server, sharded: Server) -> None:
    from zoo.weights.sources import cached_files

    known = of_shards(sharded)
    path = fetch_weights(known)
    assert cache.leftovers(cached_files([known])) == []
    assert {leftover.path for leftover in cache.leftovers(set())} == set(path.parent.iterdir())
