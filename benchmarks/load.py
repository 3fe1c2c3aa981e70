"""How long weights take to load from a local file, beside timm's way and safetensors alone.

    python benchmarks/load.py [--smoke] [--runs N] [--models NAME ...]

Each way runs in a process of its own, in turn with the others, N times. Timed is what comes after the
imports: to a model, or to a dict of tensors, of which every element has then been read (summed). The peak
is what the process's memory grew by at most. The file is in the operating system's cache.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

MODELS = ("resnet50", "vit_base_patch16_224", "vit_large_patch16_224")
WAYS = ("zoo", "timm", "safetensors")

PROGRAM = """
import json, resource, sys, time
way, model, path = sys.argv[1:]
import torch
from safetensors.torch import load_file
import timm
import zoo, zoo.api, zoo.build
torch.set_num_threads(1)
zoo.info("timm/" + model)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
started = time.perf_counter()
if way == "zoo":
    tensors = zoo.load("timm/" + model, weights=path).state_dict().values()
elif way == "timm":
    tensors = timm.create_model(model, checkpoint_path=path).state_dict().values()
else:
    tensors = load_file(path).values()
loaded = time.perf_counter() - started
for tensor in tensors:
    tensor.sum()
seconds = time.perf_counter() - started
grown = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
print(json.dumps({"loaded": loaded, "seconds": seconds, "bytes": grown}))
"""

MAKE = """
import sys, timm
from safetensors.torch import save_file
model = timm.create_model(sys.argv[1])
save_file(model.state_dict(), sys.argv[2])
"""


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--smoke", action="store_true", help="one run of the smallest model")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--models", nargs="+", default=MODELS)
    arguments = parser.parse_args()
    models, runs = (MODELS[:1], 1) if arguments.smoke else (arguments.models, arguments.runs)
    print(f"{'model':<22} {'way':<12} {'loaded':>9} {'all read':>9} {'ratio':>6} {'peak / file':>12}")
    with tempfile.TemporaryDirectory() as folder:
        for model in models:
            path = Path(folder, f"{model}.safetensors")
            subprocess.run((sys.executable, "-c", MAKE, model, str(path)), check=True)
            _compare(model, path, runs)
            path.unlink()


def _compare(model: str, path: Path, runs: int) -> None:
    results: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    for _ in range(runs):
        for way in WAYS:
            results[way].append(_run(way, model, path))
    least = _median(results["safetensors"], "seconds")
    for way in WAYS:
        loaded, seconds = _median(results[way], "loaded"), _median(results[way], "seconds")
        peak = _median(results[way], "bytes") / path.stat().st_size
        print(
            f"{model:<22} {way:<12} {1000 * loaded:>6.0f} ms {1000 * seconds:>6.0f} ms "
            f"{seconds / least:>6.2f} {peak:>12.2f}"
        )


def _run(way: str, model: str, path: Path) -> dict[str, float]:
    command = (sys.executable, "-c", PROGRAM, way, model, str(path))
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def _median(results: list[dict[str, float]], key: str) -> float:
    return statistics.median(result[key] for result in results)


if __name__ == "__main__":
    main()
