"""The toy plugin, as a wheel in a fresh environment; and the guide in CONTRIBUTING.md, which grows it."""

from __future__ import annotations

import doctest
import json
import re
import subprocess
from pathlib import Path

import pytest
from environments import ROOT, build, environment, fresh_venv, install, run

TOY = ROOT / "tests" / "toy"
PARTS = {"python": "\n\n", "toml": ""}  # what stands between two parts of a file that the guide grows
WRITTEN = {  # by commands of the guide
    "zoo_toy/facts.json",
    "zoo_toy/toy/linear.digits.safetensors",
    "zoo_toy/weights.json",
}


def _guide() -> list[tuple[str, str, str]]:
    """The guide's blocks of code in order: what precedes each, its language, its text."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = text.partition("## Write a plugin of your own\n")[2].partition("\n## ")[0]
    pieces = re.split(r"^```(\w+)\n(.*?)^```\n", section, flags=re.DOTALL | re.MULTILINE)
    return list(zip(pieces[::3], pieces[1::3], pieces[2::3], strict=False))


def _grow(text: str, language: str, prose: str, files: dict[str, str]) -> str:
    """Adds a block to the file that the paragraph before it names last; returns which that is."""
    paragraph = prose.strip().rpartition("\n\n")[2]
    (name,) = set(re.findall(r"`([\w/]+\.(?:py|toml))`", paragraph)[-1:])
    files[name] = f"{files[name]}{PARTS[language]}{text}" if name in files else text
    return name


def _toy_files() -> dict[str, Path]:
    paths = (path for path in TOY.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(TOY).as_posix(): path for path in paths}


def _steady(output: str) -> str:
    """What a command printed, without what differs from run to run or from machine to machine."""
    for pattern in (r"\d+(\.\d+)? s\b", r"\d+ threads", r"\d+\.\d%", r"\[\d+\.\d, \d+\.\d\]"):
        output = re.sub(pattern, "#", output)
    return output


def test_the_guide_and_the_toy_are_the_same_files() -> None:
    files: dict[str, str] = {}
    for prose, language, text in _guide():
        if language != "console":
            _grow(text, language, prose, files)
    assert files == {
        name: path.read_text(encoding="utf-8") for name, path in _toy_files().items() if name not in WRITTEN
    }
    assert _toy_files().keys() >= WRITTEN


@pytest.mark.slow
def test_the_guide_does_what_it_says(tmp_path: Path) -> None:
    """From an empty folder: every file is written, every command run, and prints what the guide shows."""
    python = fresh_venv(tmp_path / "venv")
    pip = python.with_name("pip")
    pip.write_text('#!/bin/sh\nexec python -m pip "$@"\n')
    pip.chmod(0o755)
    folder, files = tmp_path / "zoo-toy", dict[str, str]()
    folder.mkdir()
    commands = 0
    for prose, language, text in _guide():
        if language != "console":
            path = folder / (name := _grow(text, language, prose, files))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(files[name], encoding="utf-8")
            continue
        for command, wanted in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", text, re.MULTILINE):
            done = _shell(command, folder, python)
            commands += 1
            assert done.returncode == 0, done.stdout
            matches = doctest.OutputChecker().check_output(
                _steady(wanted), _steady(done.stdout), doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
            )
            assert matches, f"$ {command}\n{done.stdout}"
    assert commands > 10
    assert (folder / "zoo_toy/facts.json").read_text() == (TOY / "zoo_toy/facts.json").read_text()


def _shell(command: str, folder: Path, python: Path) -> subprocess.CompletedProcess[str]:
    variables = environment()
    variables["PATH"] = f"{python.parent}:{variables['PATH']}"
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "stdin": subprocess.DEVNULL}
    return subprocess.run(["sh", "-c", command], cwd=folder, env=variables, text=True, check=False, **streams)


@pytest.mark.slow
def test_the_toy_is_installed_as_a_wheel_and_brings_its_model_and_weights(tmp_path: Path) -> None:
    python = fresh_venv(tmp_path / "venv")
    install(python, str(build(TOY, tmp_path / "wheel")))
    listed = json.loads(run(python, "-m", "zoo", "list", "toy/*", "--json").stdout)["models"]
    assert [(model["name"], [tags["tag"] for tags in model["weights"]]) for model in listed] == [
        ("toy/linear", ["digits"])
    ]
    report = run(python, "-m", "zoo", "evaluate", "toy/linear.digits", "--data", "digits", "--json").stdout
    assert json.loads(report)["metrics"]["accuracy"]["value"] > 0.9
    picture = run(python, "-m", "zoo", "toy-show", "0").stdout.splitlines()
    assert [len(row) for row in picture] == [8] * 8
    assert set("".join(picture)) == set("#. ")
    assert "toy-show" in run(python, "-m", "zoo", "--help").stdout
    run(python, "-m", "pip", "uninstall", "--quiet", "--yes", "zoo-toy")
    gone = run(python, "-m", "zoo", "info", "toy/linear", status=1)
    assert "no model named 'toy/linear'" in gone.stderr
