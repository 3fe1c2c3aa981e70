"""The recommender on published tables: what it would have said of what it was not told, beside the aims.

    python benchmarks/recommend.py --evidence DIR [--only scores times losses] [--fit] [--smoke]

`DIR` holds timm's result tables (`timm/`), the accuracies of VTAB, PARC and the UCR archive (`vtab/`,
`parc/`, `ucr/`) and the points of Chinchilla's figure (`chinchilla/`). What is judged is the recommender's
own code: of each data set, make of model or device it is told all the others' figures, coefficients are
fitted anew without it, and what it says is held against what was measured. Regret is in points of accuracy
below the best method of the table. Intervals are of 95% by bootstrap, over data sets or makes of models.
`--fit` prints the coefficients that `zoo/recommender/priors.toml` ships, fitted on everything. `--smoke`
goes through the same code on tables that are made up; the figures mean nothing.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import recommend_real
from recommend_tables import losses, made_up, parc, scores, times
from recommend_tables.common import Line, header

from zoo.registry import Registry, installed
from zoo.specs import Device, to_builtins

PAIRS = (  # timed with the same software on each side
    (
        "rtx-3090=benchmark-infer-amp-nchw-pt240-cu124-rtx3090.csv",
        "rtx-4090=benchmark-infer-amp-nchw-pt240-cu124-rtx4090.csv",
    ),
    (
        "rtx-4090=benchmark-infer-amp-nchw-pt291-cu128-4090.csv",
        "rtx-5090=benchmark-infer-amp-nchw-pt291-cu130-5090.csv",
    ),
)


def main() -> None:
    """Prints the tables."""
    arguments = _parser().parse_args()
    registry = installed()
    if arguments.smoke:
        with tempfile.TemporaryDirectory() as folder:
            made_up.write_tables(Path(folder), registry.models, PAIRS)
            _report(Path(folder), registry, arguments)
    elif arguments.evidence is None and recommend_real.PARTS.keys() >= set(arguments.only):
        _report(Path(), registry, arguments)
    elif arguments.evidence is None:
        sys.exit("recommend.py: say where the tables are with --evidence, or try --smoke")
    elif not arguments.evidence.is_dir():
        sys.exit(f"recommend.py: --evidence: there is no folder {arguments.evidence}")
    else:
        _report(arguments.evidence, registry, arguments)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--evidence", type=Path, metavar="DIR")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART")
    parser.add_argument("--fit", action="store_true", help="print the coefficients to ship, too")
    parser.add_argument("--smoke", action="store_true", help="on made-up tables; the figures mean nothing")
    return parser


def _report(folder: Path, registry: Registry, arguments: argparse.Namespace) -> None:
    for name in arguments.only:
        title, part = PARTS[name]
        print(header(title))
        for line in part(folder, registry):
            print(line, flush=True)
        print()
    if arguments.fit:
        print(_fitted(folder, registry))


def _scores(folder: Path, _: Registry) -> Iterator[Line]:
    supervised = "always ResNet-50 (Sup-100%)", "Sup-100%"
    yield from scores.lines(scores.read_vtab(folder), "VTAB-1k", supervised, ("<= 2.5", "<= 0.8"))
    best = "ImageNet-best, always ResNet-50", "resnet50 imagenet"
    for name, file in (("PARC", "controlled.csv"), ("PARC, all", "all.csv")):
        yield from scores.lines(parc.read_parc(folder, file), name, best)
    residual = "always ResNet", "resnet"
    yield from scores.lines(scores.read_ucr(folder), "UCR-128", residual, ("<= 1.3", "<= 0.4"))


def _times(folder: Path, registry: Registry) -> Iterator[Line]:
    device = Device(spec=registry.devices[times.DEVICE])
    yield from times.step_lines(times.read_trained(folder, registry.models), device)
    yield from times.device_lines(_pairs(folder, registry))


def _losses(folder: Path, _: Registry) -> Iterator[Line]:
    yield from losses.loss_lines(losses.read_losses(folder))


PARTS: dict[str, tuple[str, Callable[[Path, Registry], Iterator[Line | str]]]] = {
    "scores": ("points below the best, each data set left out", _scores),
    "times": ("median error, each make of models left out", _times),
    "losses": ("median error of a language model's loss", _losses),
    **recommend_real.PARTS,
}


def _pairs(folder: Path, registry: Registry) -> list[times.Pair]:
    return [times.read_pair(folder, registry.models, registry.devices, old, new) for old, new in PAIRS]


def _fitted(folder: Path, registry: Registry) -> str:
    """What `priors.toml` holds of these tables."""
    difficulties = [scores.fit_difficulty(read(folder)) for read in (scores.read_vtab, scores.read_ucr)]
    pairs = _pairs(folder, registry)
    between = times.between_devices(pairs)
    rows = times.read_trained(folder, registry.models)
    laws = times.fit_laws(rows, Device(spec=registry.devices[times.DEVICE]), between)
    found = {"difficulty": to_builtins(difficulties), "speed": to_builtins(laws)}
    shared = f"# zoo/recommender/cost.py: shared = {times.fit_shared(pairs):.2f}\n"
    return shared + msgspec.toml.encode(found).decode()


if __name__ == "__main__":
    main()
