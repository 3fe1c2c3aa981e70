"""Trains every set of weights of this package by its model's own recipe, and records what came of it.

    python weights/build.py [NAME ...] [--runs DIR]

Each set is trained in a run folder of its own under `--runs`, which is gone on with where it was
interrupted and used as it is where it is finished. The record in `zoo_weights/weights.json` and the table in
`README.md` are written after each.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import zoo
from zoo.publishing import add_weights
from zoo.runs import RECORD, Run

SHIPPED = (  # the cheapest first
    "cnn/fcn.cbf",
    "cnn/fcn.control",
    "cnn/tcn.mackey-glass",
    "lstm/forecaster.mackey-glass",
    "transformer/patchtst.mackey-glass",
    "cnn/lenet5.digits",
    "cnn/convnet.digits",
    "lstm/classifier.control",
    "transformer/series_classifier.control",
    "transformer/vit.digits",
    "timm/mobilenetv3_small_050.digits",
    "cnn/textcnn.snippets",
    "lstm/classifier.snippets",
    "transformer/classifier.snippets",
    "lstm/seq2seq.dates",
    "transformer/seq2seq.dates",
    "lstm/language_model.stdlib",
    "transformer/gpt.stdlib",
)
HERE = Path(__file__).parent
PACKAGE = HERE / "zoo_weights"
TABLE_START, TABLE_END = "<!-- weights -->", "<!-- end of weights -->"


def main() -> None:
    """Builds the named sets of weights, or all of them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", default=SHIPPED)
    parser.add_argument("--runs", type=Path, default=Path("runs/weights"))
    arguments = parser.parse_args()
    for name in arguments.names:
        run = _trained(name, arguments.runs / name.replace("/", "-"))
        spec = add_weights(run, PACKAGE, tag=name.partition(".")[2])
        _write_table()
        print(f"{name}: {spec.metrics}", flush=True)


def _trained(name: str, folder: Path) -> Run:
    if (folder / RECORD).exists():
        run = Run.open(folder)
        return run if run.record.state == "finished" else zoo.resume(folder)
    model, _, data = name.partition(".")
    return zoo.train(model, data, output=folder)


def _write_table() -> None:
    """The table of the README."""
    records = zoo.read_weights("zoo_weights", "weights.json")
    rows = [
        f"| `{spec.name}` | {_figures(spec.metrics)} | {(spec.bytes or 0) / 1e6:.2f} MB "
        f"| {spec.data_license} |\n"
        for spec in records
    ]
    head = "| weights | on the test split | size | licence of the data |\n|---|---|---|---|\n"
    readme = HERE / "README.md"
    before, _, rest = readme.read_text().partition(TABLE_START)
    after = rest.partition(TABLE_END)[2]
    readme.write_text(f"{before}{TABLE_START}\n{head}{''.join(rows)}{TABLE_END}{after}")


def _figures(metrics: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in metrics.items())


if __name__ == "__main__":
    main()
