"""Who may import whom: torch stays below its line, and a module knows only what stands above it."""

from __future__ import annotations

import ast
import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import zoo

ABOVE = (  # the torch line, top first; a name stands for a module or for a whole package
    "errors",
    "extras",
    "units",
    "limits",
    "paths",
    "locks",
    "settings",
    "specs",
    "recipefile",
    "recipetext",
    "hookspecs",
    "licenses",
    "manifests",
    "core",
    "containment",
    "distributions",
    "plugins",
    "quarantine",
    "registry",
    "columns",
    "listing",
    "recipes",
    "tokenizers",
    "scaffold",
    "weights",
    "environment",
    "lockfile",
    "recommender",
    "catalogue",
)
BELOW = (
    "profile",
    "build",
    "tensors",
    "data",
    "tasks",
    "runs",
    "histories",
    "commands",
    "course",
    "advice",
    "figures",
    "curves",
    "outcome",
    "modelcard",
    "launching",
    "judging",
    "evaluation",
    "comparison",
    "predictions",
    "golden",
    "doctor",
    "training",
    "api",
    "probing",
    "exporting",
    "explanation",
    "diagnosis",
    "report",
    "publishing",
    "pushing",
    "reproduction",
    "testing",
    "cli",
    "__main__",
)
ORDER = {name: place for place, name in enumerate(ABOVE + BELOW)}
LIGHT = (  # what may be imported without paying for torch
    *ABOVE,
    "runs",
    "histories",
    "commands",
    "course",
    "advice",
    "figures",
    "curves",
    "outcome",
    "modelcard",
    "launching",
    "api",
    "cli",
    "__main__",
)
HEAVY = {"torch", "torchvision", "torchmetrics", "timm", "datasets", "accelerate"}
COMMANDS = (
    ["--help"],
    ["list"],
    ["list", "--json"],
    ["info", "cnn/lenet5"],
    ["recipe", "show", "cnn/lenet5", "--data", "digits", "--full"],
    ["recommend", "--data", "digits"],
    ["recommend", "--task", "text-classification", "--samples", "5k", "--input", "128", "--classes", "4"],
    ["plugins"],
    ["devices"],
    ["weights", "list"],
    ["datasets", "list"],
    ["train", "--help"],
)
Probe = tuple[list[str], list[tuple[int, int, list[str]]]]
ROOT = Path(zoo.__file__).parent


@cache
def modules() -> dict[str, ast.Module]:
    """Every module of the core by its name, parsed."""
    found = {}
    for path in ROOT.rglob("*.py"):
        parts = path.relative_to(ROOT.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = ast.parse(path.read_text(encoding="utf-8"))
    return found


def imported(tree: ast.AST, *, when_loaded: bool) -> Iterator[str]:
    """What a module imports: as soon as it is loaded, or at any time and for type checkers too."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in modules() else str(node.module)
        elif when_loaded and (
            isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            or (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
        ):
            continue
        else:
            yield from imported(node, when_loaded=when_loaded)


def unit(module: str) -> str:
    """The part of the core that a module belongs to: `zoo.data.load` to `data`."""
    return module.split(".")[1] if "." in module else ""


def loaded_with(module: str) -> set[str]:
    """Everything that importing a module imports, packages around it included."""
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        if name in modules():
            waiting += imported(modules()[name], when_loaded=True)
        if "." in name:
            waiting.append(name.rpartition(".")[0])
    return seen


def test_every_module_has_its_place() -> None:
    assert {unit(name) for name in modules()} - {""} <= ORDER.keys()
    assert {"specs", "registry", "recommender", "training", "cli"} <= {unit(name) for name in modules()}


def test_a_module_imports_only_what_stands_above_it() -> None:
    wrong = [
        f"{name} imports {other}"
        for name, tree in modules().items()
        if unit(name)  # zoo/__init__.py gathers the public names, on first use
        for other in imported(tree, when_loaded=False)
        if other.startswith("zoo.") and ORDER[unit(other)] > ORDER[unit(name)]
    ]
    assert wrong == []


def test_no_imports_go_in_a_circle() -> None:
    graph = {
        name: {other for other in imported(tree, when_loaded=True) if other in modules() and unit(other)}
        for name, tree in modules().items()
    }
    assert sum(map(len, graph.values())) > 100
    TopologicalSorter(graph).prepare()  # raises CycleError that names the circle


@pytest.mark.parametrize("name", [name for name in modules() if unit(name) in LIGHT or not unit(name)])
def test_nothing_above_the_line_pays_for_torch(name: str) -> None:
    assert {other.split(".")[0] for other in loaded_with(name)} & HEAVY == set()


def test_the_check_sees_torch_where_it_is_imported() -> None:
    assert "torch" in loaded_with("zoo.build")
    assert "accelerate" in loaded_with("zoo.training.callbacks")  # by way of its package


def test_the_core_names_no_plugin() -> None:
    ours = ("zoo_cnn", "zoo_lstm", "zoo_timm", "zoo_transformer", "zoo_weights")
    for name, tree in modules().items():
        packages = {other.split(".")[0] for other in imported(tree, when_loaded=False)}
        assert not packages & {*ours}, name


# -- in a process of its own ------------------------------------------------------------------

PROBE = """
import contextlib, io, json, sys
import zoo
first = sorted(name for name in sys.modules if name.split(".")[0] in {"msgspec", "pluggy", "click", "rich"})
from zoo.cli import main
heavy, commands = json.loads(sys.argv[1])
found = []
for command in commands:
    try:
        with contextlib.redirect_stdout(io.StringIO()) as out:
            main(command)
    except SystemExit as stop:
        found.append([stop.code or 0, len(out.getvalue()), sorted(set(heavy) & set(sys.modules))])
print(json.dumps([first, found]))
"""


@pytest.fixture(scope="module")
def probe() -> Probe:
    """What one process had imported after `import zoo`, and after each of the commands in turn."""
    arguments = json.dumps([sorted(HEAVY), COMMANDS])
    command = [sys.executable, "-c", PROBE, arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    first, found = json.loads(done.stdout)
    return first, found


@pytest.mark.parametrize("number", range(len(COMMANDS)), ids=[" ".join(command) for command in COMMANDS])
def test_a_command_that_computes_nothing_imports_no_torch(probe: Probe, number: int) -> None:
    status, characters, heavy = probe[1][number]
    assert heavy == []
    assert status == 0
    assert characters > 0


def test_importing_zoo_imports_no_other_package(probe: Probe) -> None:
    assert probe[0] == []


# -- public names -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", zoo.__all__)
def test_every_public_name_resolves_and_is_described(name: str) -> None:
    value = getattr(zoo, name)
    described = vars(value).get("__doc__") if isinstance(value, type) else value.__doc__
    assert described
    assert described.strip()
    assert name in dir(zoo)


def test_public_names_are_sorted_and_agree_with_what_type_checkers_see() -> None:
    assert sorted(zoo.__all__) == zoo.__all__
    block = next(node for node in ast.walk(modules()["zoo"]) if isinstance(node, ast.If))
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    seen = {alias.name: node.module for node in imports for alias in node.names}
    assert sorted(seen) == zoo.__all__
    for name, home in seen.items():
        assert getattr(importlib.import_module(str(home)), name) is getattr(zoo, name)


def test_a_name_that_is_not_public_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'absent'"):
        _ = zoo.absent
