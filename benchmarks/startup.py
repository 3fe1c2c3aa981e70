"""How long the commands that answer without torch take, beside the least that such a program needs.

    python benchmarks/startup.py [--smoke] [--runs N]

Each command is timed as a whole process, in turn with the reference, N times; the ratio is that of the
medians. Output goes nowhere, or to a terminal of 100 columns where that is said. `--smoke` runs each once
and only says that it works.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import pty
import statistics
import subprocess
import sys
import termios
import threading
import time

REFERENCE = (sys.executable, "-c", "import click, pluggy, rich.table")
BUDGETS = {  # how many times the reference a command may take
    "list": (("list",), 2.5),
    "list --json": (("list", "--json"), 2.5),
    "info": (("info", "cnn/lenet5"), 2.5),
    "recommend": (("recommend", "--data", "digits"), 3.0),
    "list, terminal": (("list",), 2.5),
    "recommend, terminal": (("recommend", "--data", "digits"), 3.0),
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
    print(f"{'command':<20} {'median':>9} {'reference':>10} {'ratio':>6} {'budget':>7}")
    for name, (command, budget) in BUDGETS.items():
        ours, reference = [], []
        for _ in range(runs + (not arguments.smoke)):  # the first, which warms the caches, is not counted
            reference.append(_seconds(REFERENCE))
            ours.append(_seconds((sys.executable, "-m", "zoo", *command), terminal=name.endswith("terminal")))
        ours, reference = ours[-runs:], reference[-runs:]
        took, least = 1000 * statistics.median(ours), 1000 * statistics.median(reference)
        print(f"{name:<20} {took:>6.0f} ms {least:>7.0f} ms {took / least:>6.2f} {budget:>7.1f}")


def _seconds(command: tuple[str, ...], *, terminal: bool = False) -> float:
    # An installed package has its bytecode; the first run, which is not counted, sees to that.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    output = subprocess.DEVNULL
    if terminal:
        reader, output = pty.openpty()
        termios.tcsetwinsize(output, (50, 100))
        threading.Thread(target=_drain, args=(reader,), daemon=True).start()
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=output, stderr=subprocess.DEVNULL, env=environment)
    seconds = time.perf_counter() - started
    if terminal:
        os.close(output)
    return seconds


def _drain(reader: int) -> None:
    """Reads what a terminal is shown, until nobody writes to it any more."""
    with contextlib.suppress(OSError):
        while os.read(reader, 65536):
            pass
    os.close(reader)


if __name__ == "__main__":
    main()
