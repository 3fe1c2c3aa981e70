"""Trains every set of weights of this package by its model's own recipe, and records what came of it.

    python weights/build.py [NAME ...] [--runs DIR]

Each set is trained in a run folder of its own under `--runs`, which is gone on with where it was
interrupted and used as it is where it is finished. The record in `zoo_weights/weights.json` and the table in
`README.md` are written after each.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import Any

import msgspec

import zoo
from zoo.api import weights_of_run
from zoo.golden import golden_output
from zoo.registry import installed
from zoo.runs import RECORD, Run
from zoo.specs import WeightsSpec, to_builtins
from zoo.weights.sources import sha256

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
RECORDS = PACKAGE / "weights.json"
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
        published = to_builtins(_publish(run, name))
        records = {f"{spec['model']}.{spec['tag']}": spec for spec in _read()} | {name: published}
        _write([records[known] for known in sorted(records)])
        print(f"{name}: {records[name]['metrics']}", flush=True)


def _trained(name: str, folder: Path) -> Run:
    if (folder / RECORD).exists():
        run = Run.open(folder)
        return run if run.record.state == "finished" else zoo.resume(folder)
    model, _, data = name.partition(".")
    return zoo.train(model, data, output=folder)


def _publish(run: Run, name: str) -> WeightsSpec:
    """The run's weights, copied into the package, and their record."""
    model, _, tag = name.partition(".")
    file = f"{name}.safetensors"
    target = PACKAGE / file
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(run.weights_path, target)
    registry = installed()
    module = zoo.load(run.path)
    task = registry.task_implementation(run.record.problem.task)
    output = golden_output(module, task, run.record.problem, run.record.preprocess)
    return weights_of_run(run).replace(
        tag=tag,
        model=model,
        source=f"package://zoo_weights/{file}",
        sha256=sha256(target),
        bytes=target.stat().st_size,
        license="Apache-2.0",
        golden={"output": output},
    )


def _read() -> list[dict[str, Any]]:
    return list(msgspec.json.decode(RECORDS.read_bytes())["weights"]) if RECORDS.exists() else []


def _write(records: list[dict[str, Any]]) -> None:
    """The manifest, and the table of the README."""
    RECORDS.write_bytes(msgspec.json.format(msgspec.json.encode({"weights": records}), indent=1) + b"\n")
    rows = [
        f"| `{spec['model']}.{spec['tag']}` | {_figures(spec['metrics'])} | {spec['bytes'] / 1e6:.2f} MB "
        f"| {spec.get('data_license', '')} |\n"
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
