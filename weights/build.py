"""Trains every set of weights of this package by its model's own recipe, and records what came of it.

    python weights/build.py [NAME ...] [--runs DIR] [--seeds N]

Each set is trained in a run folder of its own under `--runs`, which is gone on with where it was
interrupted and used as it is where it is finished; and once more from each of N - 1 other seeds, by which the
record says how far results differ. The record in `zoo_weights/weights.json` and the table in `README.md` are
written after each.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import zoo
from zoo import Run
from zoo.runs import RECORD

SHIPPED = (  # the cheapest first
    "cnn/fcn.cbf",
    "cnn/fcn.control",
    "cnn/minirocket.cbf",
    "cnn/minirocket.control",
    "cnn/resnet1d.cbf",
    "lstm/lstm_fcn.cbf",
    "lstm/alstm_fcn.cbf",
    "cnn/inception_time.control",
    "lstm/deepar.mackey-glass",
    "cnn/tcn.mackey-glass",
    "lstm/forecaster.mackey-glass",
    "transformer/patchtst.mackey-glass",
    "cnn/lenet5.digits",
    "cnn/convnet.digits",
    "cnn/airbench.digits",
    "cnn/resnet20.digits",
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
    "lstm/min_gru.stdlib",
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
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    for name in arguments.names:
        folder = arguments.runs / name.replace("/", "-")
        run, *others = (_trained(name, folder, seed) for seed in range(arguments.seeds))
        spec = zoo.add_weights(run, PACKAGE, tag=name.partition(".")[2], repeats=others)
        _write_table()
        print(f"{name}: {spec.metrics}", flush=True)


def _trained(name: str, first: Path, seed: int) -> Run:
    folder = first.with_name(f"{first.name}-seed{seed}") if seed else first
    if (folder / RECORD).exists():
        run = Run.open(folder)
        return run if run.record.state == "finished" else zoo.resume(folder)
    model, _, data = name.partition(".")
    return zoo.train(model, data, output=folder, settings={"seed": seed})


def _write_table() -> None:
    """The table of the README."""
    records = zoo.read_weights("zoo_weights", "weights.json")
    rows = [
        f"| `{spec.name}` | {_figures(spec.metrics)} | {_spread(spec)} | {(spec.bytes or 0) / 1e6:.2f} MB "
        f"| {spec.data_license} |\n"
        for spec in records
    ]
    titles = ("weights", "on the test split", "from each seed", "size", "licence of the data")
    head = f"| {' | '.join(titles)} |\n|{'---|' * len(titles)}\n"
    readme = HERE / "README.md"
    before, _, rest = readme.read_text().partition(TABLE_START)
    after = rest.partition(TABLE_END)[2]
    readme.write_text(f"{before}{TABLE_START}\n{head}{''.join(rows)}{TABLE_END}{after}")


def _figures(metrics: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in metrics.items())


def _spread(spec: zoo.WeightsSpec) -> str:
    first = next(iter(spec.metrics))
    return ", ".join(f"{reached[first]:.4g}" for reached in spec.repeats)


if __name__ == "__main__":
    main()
