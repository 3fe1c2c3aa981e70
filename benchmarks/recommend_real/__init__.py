"""What `recommend_runs.py` measures, and what `recommend.py` says of it, a subject a module."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
from recommend_tables.common import Line

from zoo.registry import Registry

RUNS = Path("runs/recommend")  # where results are, unless another place is said


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The lines of a file of results; none where it is not there."""
    if not path.exists():
        return []
    return [msgspec.json.decode(line) for line in path.read_bytes().splitlines() if line.strip()]


def _runs(_: Path, registry: Registry) -> Iterator[Line | str]:
    from recommend_real import costs

    yield from costs.lines(RUNS, registry)


def _zoo(_: Path, registry: Registry) -> Iterator[Line | str]:
    from recommend_real import regret

    yield from regret.lines(regret.EVIDENCE, RUNS / "probes.jsonl", registry)


def _cuts(_: Path, registry: Registry) -> Iterator[Line | str]:
    from recommend_real import cuts, regret

    yield from cuts.lines(regret.EVIDENCE, RUNS / "cuts.jsonl", registry)


PARTS: dict[str, tuple[str, Callable[[Path, Registry], Iterator[Line | str]]]] = {
    "runs": ("memory and time of trainings here", _runs),
    "zoo": ("what picks lose on the zoo's own trainings", _zoo),
    "cuts": ("what a schedule that is cut loses, on the scale of scores", _cuts),
}
