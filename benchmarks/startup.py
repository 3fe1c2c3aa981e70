"""How long the commands that answer without torch take, beside the least that such a program needs.

    python benchmarks/startup.py [--smoke] [--runs N]

Each command is timed as a whole process, in turn with the reference, N times; the ratio is that of the
medians. `--smoke` runs each once and only says that it works.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import time

REFERENCE = (sys.executable, "-c", "import click, pluggy, rich.table")
BUDGETS = {  # how many times the reference a command may take
    "list": (("list",), 2.5),
    "list --json": (("list", "--json"), 2.5),
    "info": (("info", "cnn/lenet5"), 2.5),
    "recommend": (("recommend", "--data", "digits"), 3.0),
    "--help": (("--help",), 2.5),
}


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--runs", type=int, default=15)
    arguments = parser.parse_args()
    runs = 1 if arguments.smoke else arguments.runs
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {runs} runs each"
    )
    print(f"{'command':<14} {'median':>9} {'reference':>10} {'ratio':>6} {'budget':>7}")
    for name, (command, budget) in BUDGETS.items():
        ours, reference = [], []
        for _ in range(runs + (not arguments.smoke)):  # the first, which warms the caches, is not counted
            reference.append(_seconds(REFERENCE))
            ours.append(_seconds((sys.executable, "-m", "zoo", *command)))
        ours, reference = ours[-runs:], reference[-runs:]
        took, least = 1000 * statistics.median(ours), 1000 * statistics.median(reference)
        print(f"{name:<14} {took:>6.0f} ms {least:>7.0f} ms {took / least:>6.2f} {budget:>7.1f}")


def _seconds(command: tuple[str, ...]) -> float:
    # An installed package has its bytecode; the first run, which is not counted, sees to that.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    started = time.perf_counter()
    quiet = subprocess.DEVNULL
    subprocess.run(command, check=True, stdout=quiet, stderr=quiet, env=environment)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
