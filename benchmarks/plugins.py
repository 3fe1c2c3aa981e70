"""How `zoo list` grows with the plugins that are installed.

    python benchmarks/plugins.py [--smoke] [--runs N]

Plugins are generated as pip would install them: a package with a manifest of 100 models each, and its
metadata, in a folder on the path. `zoo list` is timed as a whole process with the zoo's own plugins alone and
with 3, 10, 30 and 100 more, in turn, N times; the ratio is that of the medians to the first row. `--smoke`
runs each of the smaller ones once and only says that it works.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

COUNTS, MODELS, BUDGET = (0, 3, 10, 30, 100), 100, 6.0
HOOKS = '''"""Generated models."""

import zoo


@zoo.hookimpl
def zoo_models():
    return zoo.read_models(__package__, "models.{format}")
'''
REFERENCE = {
    "task": "image-classification",
    "input": {"kind": "image", "channels": 3, "height": 224, "width": 224},
    "output": {"kind": "classes", "count": 1000},
}


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--runs", type=int, default=7)
    arguments = parser.parse_args()
    runs, counts = (1, COUNTS[:2]) if arguments.smoke else (arguments.runs, COUNTS)
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {runs} runs each"
    )
    print("manifests    plugins    models   first time  zoo list  ratio  budget")
    with tempfile.TemporaryDirectory() as folder:
        for form in ("json", "toml"):
            _measure(Path(folder, form), form, counts, runs)


def _measure(folder: Path, form: str, counts: tuple[int, ...], runs: int) -> None:
    sites = [_generate(folder / str(count), count, form) for count in counts]
    took: list[list[float]] = [[] for _ in counts]
    for _ in range(runs + 1):  # the first writes bytecode and keeps what manifests say: it stands by itself
        for times, site in zip(took, sites, strict=True):
            times.append(_seconds(site))
    alone = statistics.median(took[0][1:])
    for count, (first, *times) in zip(counts, took, strict=True):
        median = statistics.median(times)
        budget = f"{BUDGET:.1f}" if count == COUNTS[-1] else ""
        more = f"{form:<10} {f'+ {count}':>9} {f'+ {count * MODELS:,}':>9}"
        print(f"{more} {1000 * first:>9,.0f} ms {1000 * median:>6.0f} ms {median / alone:>6.2f} {budget:>7}")


def _generate(site: Path, count: int, form: str) -> Path:
    """A folder with that many plugins."""
    site.mkdir(parents=True)
    for number in range(count):
        name = f"made{number:03}"
        package = site / f"zoo_{name}"
        package.mkdir()
        (package / "__init__.py").write_text(HOOKS.format(format=form))
        models = [_model(name, model) for model in range(MODELS)]
        (package / f"models.{form}").write_text(
            _toml(models) if form == "toml" else json.dumps({"model": models})
        )
        info = site / f"zoo_{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: zoo-{name}\nVersion: 1.0\n"
            "Requires-Dist: torch-zoo<0.2,>=0.1\nRequires-Dist: torch\n\nGenerated.\n"
        )
        (info / "entry_points.txt").write_text(f"[zoo]\n{name} = zoo_{name}\n")
    return site


def _model(plugin: str, number: int) -> dict[str, object]:
    return {
        "name": f"net{number:03}",
        "family": "cnn",
        "tasks": ["image-classification"],
        "builder": f"zoo_{plugin}.nets:net",
        "recipes": {"*": "recipe.toml"},
        "reference": REFERENCE,
        "facts": {"parameters": 1000 * (number + 1), "macs": 10**6, "activation_bytes": {"fp32": 10**6}},
        "head": ["fc"],
        "summary": f"generated model {number}",
    }


def _toml(models: list[dict[str, object]]) -> str:
    import msgspec

    return msgspec.toml.encode({"model": models}).decode()


def _seconds(site: Path) -> float:
    # An installed package has its bytecode; the first run, which is not counted, sees to that.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment |= {"PYTHONPATH": str(site), "ZOO_HOME": f"{site}-home"}
    command = (sys.executable, "-m", "zoo", "list")
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
