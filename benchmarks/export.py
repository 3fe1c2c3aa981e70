"""What a model exported in bf16 and in int8 weighs, reaches and takes, beside the same file in fp32.

    python benchmarks/export.py [--smoke] [--formats NAME ...] [--models NAME ...] [--files DIR]

Each is written as `zoo export` does it and read as another program would: ONNX by onnxruntime, archives of
torch.export by torch, on one thread. The metric is the task's on the first 1,000 test samples at most, the
processor time the median of a batch of 16, for which the three files are asked in turn when all are written.
The model of timm is trained first, by its recipe. Files and metrics that are in DIR are not made again.
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
import time
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

import zoo
from zoo import api
from zoo.exporting.formats import FORMATS, Source
from zoo.exporting.measuring import score_answers, time_in_turn
from zoo.exporting.precisions import LOWERINGS
from zoo.exporting.samples import Samples, find_samples
from zoo.units import format_bytes, format_metric

MODELS = (
    "cnn/lenet5.digits",
    "cnn/resnet20.digits",
    "cnn/airbench.digits",
    "cnn/textcnn.snippets",
    "lstm/classifier.snippets",
    "lstm/seq2seq.dates",
    "transformer/vit.digits",
    "transformer/classifier.snippets",
    "transformer/gpt.stdlib",
    "timm/mobilenetv3_small_050",
)
DATA = "digits"  # that a model without weights is trained on
PRECISIONS = ("fp32", "bf16", "int8")


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--smoke", action="store_true", help="one small model, to see that it works")
    parser.add_argument("--formats", nargs="+", default=("onnx", "torch"), metavar="NAME")
    parser.add_argument("--models", nargs="+", default=MODELS, metavar="NAME")
    parser.add_argument("--files", type=Path, help="where to keep what was made")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("torch", "torchao", "onnxruntime"))
    with tempfile.TemporaryDirectory() as folder:
        files = asked.files or Path(folder)
        files.mkdir(exist_ok=True)
        chosen = MODELS[:1] if asked.smoke else asked.models
        cases = [Case(name, kind, files) for name in chosen for kind in asked.formats]
        for case in cases:
            case.make()
        print(f"{platform.machine()}, Python {platform.python_version()}, {versions}; 1 thread")
        names = ("model", "format", "weights", "size", "to fp32", "a batch", "to fp32")
        print("{:32} {:6} {:7} {:>8} {:>7} {:>9} {:>7}  metric".format(*names))
        for case in cases:
            case.tell()


class Case:
    """A model in one format: its files in each precision, and what they reach."""

    def __init__(self, name: str, kind: str, files: Path) -> None:
        self.name, self.kind, self.files = name, kind, files
        self.stem = f"{name.replace('/', '-')}-{kind}"

    def make(self) -> None:
        """Writes the files that are not there, and what each scores."""
        if self._told.exists():
            return
        source, samples = self._source()
        told: dict[str, Any] = {}
        for precision in PRECISIONS:
            path = self._path(precision)
            path.unlink(missing_ok=True)
            try:
                if precision == "fp32":
                    FORMATS[self.kind].write(source, path)
                else:
                    lowered = replace(source, precision=precision)
                    LOWERINGS[self.kind, precision].convert(lowered, self._path("fp32"), path)
            except zoo.ZooError as error:
                told[precision] = {"error": str(error)}
                continue
            answer = FORMATS[self.kind].read(source, path)
            told[precision] = score_answers(answer, source.card, samples)
        self._told.write_text(json.dumps(told))

    def tell(self) -> None:
        """A row for each precision, timed now."""
        source, samples = self._source()
        told = json.loads(self._told.read_text())
        sound = [precision for precision in PRECISIONS if "error" not in told[precision]]
        answers = [FORMATS[self.kind].read(source, self._path(precision)) for precision in sound]
        found = time_in_turn(answers, samples.inputs, clock=time.process_time)
        times = dict(zip(sound, found, strict=True))
        plain = self._path("fp32").stat().st_size
        for precision in PRECISIONS:
            row = f"{self.name:32} {self.kind:6} {precision:7}"
            if precision in sound:
                size, taken = self._path(precision).stat().st_size, times[precision]
                reached = format_metric(told[precision]["value"], told[precision]["unit"])
                row += f" {format_bytes(size):>8} {size / plain:7.2f}"
                row += f" {taken:6.2f} ms {taken / times['fp32']:7.2f}"
                row += f"  {told[precision]['metric']} {reached}"
            else:
                row += f" {told[precision]['error']}"
            print(row, flush=True)

    def _source(self) -> tuple[Source, Samples]:
        model, run = self.name, self.files / self.name.rpartition("/")[2]
        if "." not in run.name:
            if not run.exists():
                zoo.train(self.name, DATA, output=run, device="cpu")
            model = str(run)
        module = api.loaded(model, "cpu")
        samples = find_samples(model, module.zoo, None, calibrate=not self._told.exists())
        inputs, calibration = samples.inputs, samples.calibration
        return Source(module=module, card=module.zoo, inputs=inputs, calibration=calibration), samples

    def _path(self, precision: str) -> Path:
        return self.files / f"{self.stem}-{precision}{FORMATS[self.kind].suffix}"

    @property
    def _told(self) -> Path:
        return self.files / f"{self.stem}.json"


if __name__ == "__main__":
    main()
