"""A run goes onto the hub and comes back from it: a real server on this machine keeps what is pushed."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hub
import pytest

import zoo
from zoo.runs import Run

REPOSITORY = "somebody/digits"
TOKEN = "hf_for_tests"
PUSHED = {"run.json", "model.safetensors", "metrics.jsonl", "config.json", "README.md", "curves.png"}


class _Takes(hub._Handler):
    """The hub's side of a push: the repository, how each file is sent, large files by LFS, the commit."""

    def do_POST(self) -> None:  # noqa: N802  (the names that the server looks for)
        self.asked = hub.Asked(self.command, self.path, dict(self.headers), [])
        self.server.asked.append(self.asked)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self.tell({"error": "no"}, 401)
        elif self.path == "/api/repos/create":
            self.tell({"url": f"{self.server.url}/{REPOSITORY}"})
        elif self.path == "/api/validate-yaml":
            self.tell({"errors": [], "warnings": []})
        elif "/preupload/" in self.path:
            self.tell({"files": [self.mode(file) for file in json.loads(body)["files"]]})
        elif self.path.endswith("/info/lfs/objects/batch"):
            self.tell({"objects": [self.place(of) for of in json.loads(body)["objects"]]})
        elif "/commit/" in self.path:
            for line in body.splitlines():
                self.keep(**json.loads(line))
            address = f"{self.server.url}/{REPOSITORY}/commit/{self.server.commit}"
            self.tell({"commitUrl": address, "commitOid": self.server.commit, "success": True})
        else:
            self.tell({"error": self.path}, 404)

    def do_PUT(self) -> None:  # noqa: N802
        content = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.files[f"/lfs/{hashlib.sha256(content).hexdigest()}"] = content
        self.tell({})

    def mode(self, file: dict[str, Any]) -> dict[str, Any]:
        large = file["path"].endswith(".safetensors")
        return {"path": file["path"], "uploadMode": "lfs" if large else "regular", "shouldIgnore": False}

    def place(self, of: dict[str, Any]) -> dict[str, Any]:
        return {**of, "actions": {"upload": {"href": f"{self.server.url}/lfs/{of['oid']}"}}}

    def keep(self, key: str, value: dict[str, Any]) -> None:
        if key == "header":
            return
        content = (
            base64.b64decode(value["content"]) if key == "file" else self.server.files[f"/lfs/{value['oid']}"]
        )
        self.server.files[f"/{REPOSITORY}/resolve/*/{value['path']}"] = content

    def tell(self, document: dict[str, Any], status: int = 200) -> None:
        self.answer(status, json.dumps(document).encode(), {"Content-Type": "application/json"})


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("pushing") / "run"
    return zoo.train("cnn/lenet5", "digits", output=folder, settings={"steps": 10}, device="cpu")


@pytest.fixture
def server() -> Iterator[hub.Server]:
    with hub.serving({}) as served:
        served.RequestHandlerClass = _Takes
        yield served


def push(server: hub.Server, run: Run, tmp_path: Path, *more: str, **variables: str) -> Any:
    hub_here = {"HF_ENDPOINT": server.url, "HF_HUB_OFFLINE": "0", "ZOO_OFFLINE": "0", "HF_TOKEN": TOKEN}
    hub_here |= {
        "HF_HOME": str(tmp_path / "hf"),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    }
    command = [sys.executable, "-m", "zoo", "weights", "push", str(run.path), REPOSITORY, *more]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env=os.environ | hub_here | variables
    )


def test_what_is_pushed_is_loaded_again_by_everybody(server: hub.Server, run: Run, tmp_path: Path) -> None:
    done = push(server, run, tmp_path, "--message", "first")
    assert done.returncode == 0, done.stderr
    (uri,) = re.findall(r"zoo\.load\('(hf://.*)'\)", done.stdout)
    assert uri == f"hf://{REPOSITORY}@{hub.COMMIT}"
    kept = {path.rpartition("/*/")[2]: content for path, content in server.files.items() if "/*/" in path}
    assert kept == {name: (run.path / name).read_bytes() for name in PUSHED}

    code = f"import zoo; print(zoo.evaluate({uri!r}, 'digits').metrics['accuracy'].value)"
    elsewhere = {"HF_ENDPOINT": server.url, "HF_HUB_OFFLINE": "0", "ZOO_OFFLINE": "0"}
    elsewhere |= {"HF_HOME": str(tmp_path / "other"), "ZOO_HOME": str(tmp_path / "zoo")}
    loaded = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | elsewhere,
        cwd=tmp_path,
    )
    assert loaded.returncode == 0, loaded.stderr
    assert float(loaded.stdout) == pytest.approx(run.metrics["accuracy"])


def test_a_hub_that_refuses_says_how_to_be_let_in(server: hub.Server, run: Run, tmp_path: Path) -> None:
    done = push(server, run, tmp_path, HF_TOKEN="hf_of_another")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"zoo: {REPOSITORY} is not pushed: the hub refuses it (401); "
        "log in with 'hf auth login' or set HF_TOKEN to one that may write\n"
    )
    assert server.files == {}


def test_nothing_leaves_this_machine_offline(server: hub.Server, run: Run, tmp_path: Path) -> None:
    done = push(server, run, tmp_path, ZOO_OFFLINE="1")
    assert done.returncode == 1
    assert done.stderr == f"zoo: {REPOSITORY}: nothing is pushed while ZOO_OFFLINE=1 is set; unset it\n"
    assert server.asked == []


def test_a_run_that_is_not_finished_stays_here(server: hub.Server, run: Run, tmp_path: Path) -> None:
    half = dataclasses.replace(run, record=run.record.replace(state="interrupted"))
    with pytest.raises(zoo.RunError, match="is not finished; go on with it: zoo train --resume"):
        zoo.push_weights(half, REPOSITORY)


def test_a_name_that_is_none_is_told_in_one_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ZOO_OFFLINE", raising=False)
    with pytest.raises(zoo.WeightsError, match=r"'a//b' is no repository of the hub; expected owner/name"):
        zoo.push_weights(run, "a//b")
