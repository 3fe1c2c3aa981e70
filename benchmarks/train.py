"""How long a training step takes: ours beside a loop by hand, Lightning, Hugging Face's Trainer and Keras.

    python benchmarks/train.py [--smoke] [--runs N] [--threads N] [--cases NAME ...] [--rivals PYTHON]

Every contestant trains the same network, from the same weights, on the same data, in batches of the same
size, with AdamW at a constant learning rate, in fp32, on the CPU. Each run is a process of its own; the
contestants take turns. Timed is the stretch from the end of the last warm-up step to the end of the last
step, of which there is one epoch: imports, data, model, compilation, evaluation and saving lie outside.
What a library shows and writes is switched off, save that ours keeps its run folder. `ours, defaults`
trains as the plugin's recipe says and the trainer decides on this machine, on images that are not varied.
The ratios are those of the medians.

`make rivals` installs the other libraries into `.venv-rivals`, where they are found.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import import_module
from pathlib import Path

from train_rivals.cases import CASES
from train_rivals.job import Job, Result

RIVALS = Path(__file__).parents[1] / ".venv-rivals" / "bin" / "python"
OURS, DEFAULTS, BY_HAND, KERAS = "ours", "ours, defaults", "by hand", "Keras"
AIM = 1.03  # times the loop by hand, at most, with the same settings
WARMUP, SMOKE_STEPS = 10, 3
SMOKE_CASES = [name for name in CASES if name != "convnet, batch 256"]
SAME = 1e-3  # how far apart the losses of the same weights on the same batch may be


@dataclass(frozen=True)
class Contestant:
    """Who trains: a function in `train_rivals`, and the packages that it needs beside the zoo's own."""

    module: str
    function: str = "train"
    packages: tuple[str, ...] = ()


CONTESTANTS = {
    OURS: Contestant("ours"),
    BY_HAND: Contestant("by_hand"),
    "Lightning": Contestant("with_lightning", packages=("lightning",)),
    "Hugging Face Trainer": Contestant("with_transformers", packages=("transformers",)),
    KERAS: Contestant("with_keras", packages=("keras", "tensorflow")),
    DEFAULTS: Contestant("ours", "train_by_defaults"),
}


@dataclass
class Found:
    """One contestant's results at one case, or why there are none."""

    results: list[Result] = field(default_factory=list)
    missing: str = ""

    @property
    def seconds(self) -> float:
        """The median over the runs."""
        return statistics.median(result.seconds for result in self.results)


Table = dict[str, dict[str, Found]]  # by case, then contestant


def main() -> None:
    """Prints the table."""
    arguments = _parser().parse_args()
    if arguments.child:
        _train(arguments.child, [Job(**job) for job in json.loads(arguments.jobs)])
        return
    names, runs = arguments.cases, arguments.runs
    if arguments.smoke:  # more than one thread would wait for whatever else is running
        names, runs, arguments.threads = SMOKE_CASES, 1, 1
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"threads: {arguments.threads}, runs: {runs} in turn (load before: {os.getloadavg()[0]:.1f})"
    )
    with tempfile.TemporaryDirectory() as folder:
        jobs = _jobs(names, folder, arguments)
        table = measure(jobs, runs, rivals=arguments.rivals, together=arguments.smoke)
    report(table)
    if any(found.missing.startswith("failed") for row in table.values() for found in row.values()):
        sys.exit(1)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--smoke", action="store_true", help="a few steps of each; the times mean nothing")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES), metavar="NAME")
    parser.add_argument("--rivals", type=Path, default=RIVALS, metavar="PYTHON")
    parser.add_argument(
        "--fused",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="whether the other torch contestants take torch's fused AdamW",
    )
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--jobs", help=argparse.SUPPRESS)
    return parser


def _jobs(names: Iterable[str], folder: str, arguments: argparse.Namespace) -> list[Job]:
    return [
        Job(
            case=name,
            warmup=1 if arguments.smoke else WARMUP,
            steps=SMOKE_STEPS if arguments.smoke else CASES[name].steps,
            threads=arguments.threads,
            fused=arguments.fused,
            start=str(Path(folder, f"{number}.npz")),
        )
        for number, name in enumerate(names)
    ]


# -- running ----------------------------------------------------------------------------------


def measure(jobs: Sequence[Job], runs: int, *, rivals: Path, together: bool = False) -> Table:
    """Every contestant at every job, in turn, `runs` times; `together`: all jobs of a turn in one process."""
    _run(Path(sys.executable), "start", jobs)
    table: Table = {job.case: {name: Found() for name in CONTESTANTS} for job in jobs}
    pythons = {name: _python(contestant.packages, rivals) for name, contestant in CONTESTANTS.items()}
    for portion in [jobs] if together else [[job] for job in jobs]:
        for _ in range(runs):
            for name, python in pythons.items():
                _take_turn(name, python, portion, [table[job.case][name] for job in portion])
    return table


def _take_turn(name: str, python: Path | None, jobs: Sequence[Job], found: Sequence[Found]) -> None:
    if python is None:
        lines, told = [], "not installed: make rivals"
    else:
        lines, told = _run(python, name, jobs)
    for one, line in zip(found, [*lines, *[None] * (len(found) - len(lines))], strict=True):
        if line is None:
            one.missing = told
        else:
            one.results.append(Result(**json.loads(line)))


def _python(packages: Sequence[str], rivals: Path) -> Path | None:
    """The Python that has those packages: this one, or the rivals'; none where neither has."""
    for python in (Path(sys.executable), rivals):
        wanted = (
            f"import sys; from importlib.util import find_spec; sys.exit(not all(map(find_spec, {packages})))"
        )
        if python.exists() and subprocess.run((python, "-c", wanted), check=False).returncode == 0:
            return python
    return None


def _run(python: Path, name: str, jobs: Sequence[Job]) -> tuple[list[str], str]:
    """A process that trains; its results, a line each, and why there are not more of them."""
    threads = str(jobs[0].threads)
    with tempfile.TemporaryDirectory() as home:
        done = subprocess.run(
            (python, __file__, "--child", name, "--jobs", json.dumps([asdict(job) for job in jobs])),
            check=False,
            capture_output=True,
            text=True,
            env={**os.environ, "ZOO_HOME": home, "OMP_NUM_THREADS": threads, "HF_HUB_OFFLINE": "1"},
        )
    lines = done.stdout.splitlines()
    reason = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
    return lines, f"failed: {reason}"


def _train(name: str, jobs: Sequence[Job]) -> None:
    """In a contestant's own process: a line for each job; for `start`, the files of initial weights."""
    if name == "start":
        from train_rivals.torch_side import save_start

        for job in jobs:
            save_start(job.of, job.start)
        return
    contestant = CONTESTANTS[name]
    train = getattr(import_module(f"train_rivals.{contestant.module}"), contestant.function)
    for job in jobs:
        with contextlib.redirect_stdout(sys.stderr):  # what a library says is no result
            result = train(job)
        print(json.dumps(asdict(result)), flush=True)


# -- what came of it --------------------------------------------------------------------------


def report(table: Table) -> None:
    """The table, and below it what is not the same for all."""
    versions = {result.version for row in table.values() for one in row.values() for result in one.results}
    print(", ".join(sorted(versions)))
    for case, row in table.items():
        print()
        print(
            f"{case:<22} {'step':>10} {'lowest':>10} {'highest':>10} {'to by hand':>11} {'aim':>6}"
            f" {'Keras to it':>12} {'aim':>6}"
        )
        for name in row:
            print(f"{name:<22} {_line(case, name, row)}".rstrip())
        for note in _differences(row):
            print(f"note: {note}")


def _line(case: str, name: str, row: Mapping[str, Found]) -> str:
    found = row[name]
    if not found.results:
        return found.missing
    times = [result.seconds for result in found.results]
    cells = "".join(f"{1000 * each:>8.2f} ms" for each in (found.seconds, min(times), max(times)))
    hand, keras = row[BY_HAND], row[KERAS]
    to_hand = f"{found.seconds / hand.seconds:.2f}" if hand.results else "?"
    of_keras = f"{keras.seconds / found.seconds:.2f}" if keras.results else "?"
    most = f"{AIM:.2f}" if name == OURS else ""
    faster = CASES[case].faster if name == DEFAULTS else None
    least = f"{faster:.2f}" if faster else ""
    return f"{cells} {to_hand:>11} {most:>6} {of_keras:>12} {least:>6}  {found.missing}"


def _differences(row: Mapping[str, Found]) -> Iterable[str]:
    """Who has other parameters than the loop by hand, or begins with another loss."""
    there = {name: found.results[0] for name, found in row.items() if found.results}
    first = there.get(BY_HAND)
    if first is None:
        return
    for name, result in there.items():
        if result.parameters != first.parameters:
            yield f"{name} has {result.parameters:,} parameters, the others {first.parameters:,}"
        if abs(result.start_loss - first.start_loss) > SAME:
            yield f"{name} begins with a loss of {result.start_loss:.4f}, not of {first.start_loss:.4f}"


if __name__ == "__main__":
    main()
