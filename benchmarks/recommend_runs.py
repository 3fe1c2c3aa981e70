"""The recommender beside real trainings here: what `recommend.py --only runs zoo cuts` says.

    python benchmarks/recommend_runs.py [costs calibrate again allocated whole probes cuts]
        [--runs DIR] [--minutes M] [--only GLOB]

`costs` trains each of `recommend_real/cases.py` for a few steps in a process of its own and notes its peak
of memory above what was in memory after the imports, and the seconds of a step. `calibrate` times the
machine as `zoo devices calibrate` does. `again` does once more what `costs` does, to see by how much a case
differs from itself. `allocated` asks torch how much it allocates itself for a step. `whole` makes five
trainings by the models' own recipes. `probes` asks `zoo recommend --probe` about data sets of which
`zoo/recommender/evidence.json` knows what models reach. `cuts` trains the contenders of such probes for
several lengths of time.

Results are lines of JSON in `--runs`; what is there is not measured again, so that several goes make a whole.
All runs in one thread, and next to the seconds on the clock stand those of the processor: these are the same
on a machine that does nothing else, and nearly so on one that does, so that times are judged by them.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

from recommend_real import RUNS, read_lines
from recommend_real.cases import CASES, WHOLE
from recommend_real.regret import EVIDENCE

SMOKE_SECONDS = 10.0
HERE = Path(__file__).parent
SECONDS = 900  # for one process, at most
PARTS = ("costs", "calibrate", "again", "allocated", "whole", "probes", "cuts")
MODULES = {"costs": "worker", "again": "worker", "whole": "worker", "calibrate": "timing"}


def main() -> None:
    """Measures what is missing, as long as `--minutes` allow."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], default=[])
    parser.add_argument("--runs", type=Path, default=RUNS)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--only", default="*", help="a glob over the names of cases, or of problems")
    parser.add_argument("--probe", type=float, default=60.0, metavar="SECONDS", help="for one data set")
    parser.add_argument("--evidence", type=Path, default=EVIDENCE, help="what models reach in the end")
    parser.add_argument("--smoke", action="store_true", help="one quick case of each part")
    arguments = parser.parse_args()
    end = time.monotonic() + 60 * arguments.minutes
    arguments.runs.mkdir(parents=True, exist_ok=True)
    for part, name, command in _missing(arguments):
        if time.monotonic() > end:
            break
        line = _run(command, arguments.runs)
        if line:
            with (arguments.runs / f"{part}.jsonl").open("a") as file:
                file.write(line + "\n")
        print(f"{part}: {name}: {'measured' if line else 'failed'}", flush=True)


def _missing(arguments: argparse.Namespace) -> Iterator[tuple[str, str, list[str]]]:
    """What no file of results has yet: the part, the name, and the process's arguments."""
    for part in arguments.parts or PARTS:
        known = {row["name"] for row in read_lines(arguments.runs / f"{part}.jsonl")}
        names = [
            name
            for name in _names(part, arguments.evidence)
            if fnmatchcase(name, arguments.only) and name not in known
        ]
        for name in names[:1] if arguments.smoke else names:
            module = MODULES.get(part, part)
            seconds = str(SMOKE_SECONDS if arguments.smoke else arguments.probe)
            evidence = str(arguments.evidence)
            lengths = [str(SMOKE_SECONDS)] if arguments.smoke else []
            options = {
                "costs": ["--few"],
                "again": ["--few"],
                "probes": [seconds, evidence],
                "cuts": [evidence, *lengths],
            }
            yield part, name, ["-m", f"recommend_real.{module}", name, *options.get(part, [])]


def _names(part: str, evidence: Path) -> list[str]:
    if part == "calibrate":
        return ["cpu"]
    if part in ("probes", "cuts"):
        from recommend_real.probes import problems

        return problems(evidence)
    return [case.name for case in (WHOLE if part == "whole" else CASES)]


def _run(command: list[str], folder: Path) -> str:
    """The last line that the process printed; nothing where it failed."""
    path = os.pathsep.join([str(HERE), *os.environ.get("PYTHONPATH", "").split(os.pathsep)])
    home = str((folder / "home").resolve())
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "ZOO_HOME": home}
    try:
        done = subprocess.run(
            [sys.executable, *command],
            env=environment,
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
    except subprocess.TimeoutExpired:
        return ""
    if done.returncode:
        print(done.stderr.strip().splitlines()[-1:], file=sys.stderr)
        return ""
    return (done.stdout.strip().splitlines() or [""])[-1]


if __name__ == "__main__":
    main()
