"""How fast text becomes packed tokens, and how much memory that takes as the text grows.

    python benchmarks/text.py [--smoke] [--sizes MB ...] [--runs N]

A text file of each size is made of the standard library's sources, repeated; numbered lines keep repetitions
apart. It is read, given a tokenizer and packed on the way that `zoo train` takes, in a process of its own for
each row. Timed apart: looking through the file, learning the vocabulary (4,096 tokens, from 32 MB at most),
tokenising and packing all three splits, and finding these tokens again. The peak is what the process's memory
grew by at most after its imports, whatever step that was in.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

SIZES = (25, 50, 100)  # MB of 10**6 bytes
TOKENIZERS = ("bytes", "bpe")

PROGRAM = """
import json, resource, sys, time
import torch
import zoo, zoo.api
from zoo.data.load import load_dataset
from zoo.registry import installed
from zoo.tasks.base import prepare
path, tokenizer = sys.argv[1:]
registry = installed()
model = registry.model("transformer/gpt")[0]
task = registry.task_implementation("language-modeling")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
moments = [time.perf_counter()]
dataset = load_dataset(path, registry=registry)
moments.append(time.perf_counter())
preprocess = task.fit(dataset, model.spec, zoo.Recipe(tokenizer=tokenizer))
moments.append(time.perf_counter())
prepared = prepare(task, dataset, preprocess)
moments.append(time.perf_counter())
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
prepare(task, dataset, preprocess)
moments.append(time.perf_counter())
steps = ("read", "learn", "pack", "again")
result = {step: after - start for step, start, after in zip(steps, moments, moments[1:])}
result["tokens"] = sum(len(split.stream) for split in prepared.splits.values())
result["peak"] = 1024 * (peak - before)
print(json.dumps(result))
"""


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--smoke", action="store_true", help="one run on 2 MB")
    parser.add_argument("--sizes", nargs="+", type=int, default=SIZES, metavar="MB")
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    sizes, runs = ((2,), 1) if arguments.smoke else (arguments.sizes, arguments.runs)
    print(
        f"{'tokenizer':<10} {'text':>7} {'tokens':>12} {'read':>9} {'learn':>9} {'pack':>9} {'pack':>11} "
        f"{'again':>8} {'peak':>8}"
    )
    with tempfile.TemporaryDirectory() as folder:
        for tokenizer in TOKENIZERS:
            for size in sizes:
                path = write_text(Path(folder, "text.txt"), size * 10**6)
                _report(tokenizer, path, [_run(path, tokenizer) for _ in range(runs)])


def write_text(path: Path, size: int) -> Path:
    """A file of about `size` bytes: the standard library's sources over and over, a number on each round."""
    from zoo.data.samples.stdlib import read_sources

    texts = [text for files in read_sources().values() for text in files.values()]
    written, number = 0, 0
    with path.open("w", encoding="utf-8") as file:
        while written < size:
            for text in texts:
                written += file.write(f"# {number}\n{text}"[: size - written])
            number += 1
    return path


def _run(path: Path, tokenizer: str) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as home:  # so that no tokens are there already
        done = subprocess.run(
            (sys.executable, "-c", PROGRAM, str(path), tokenizer),
            check=True,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "ZOO_HOME": home},
        )
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def _report(tokenizer: str, path: Path, results: list[dict[str, float]]) -> None:
    found = {name: statistics.median(result[name] for result in results) for name in results[0]}
    megabytes = path.stat().st_size / 1e6
    print(
        f"{tokenizer:<10} {megabytes:>4.0f} MB {found['tokens']:>12,.0f} {found['read']:>7.2f} s "
        f"{found['learn']:>7.2f} s {found['pack']:>7.2f} s {megabytes / found['pack']:>6.1f} MB/s "
        f"{found['again']:>6.2f} s {found['peak'] / 1e6:>5.0f} MB"
    )


if __name__ == "__main__":
    main()
