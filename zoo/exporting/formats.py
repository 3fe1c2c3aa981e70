"""One writer and one reader for each format that a model can be exported to.

A reader gives a function from the inputs of a model's forward to its output, by the way that another
program would take. `zoo` in a file's metadata says what to feed it: the problem, preprocessing and labels.
"""

from __future__ import annotations

import json
import shutil
import warnings
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import msgspec
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from zoo import api
from zoo.build import Card
from zoo.errors import ZooError
from zoo.exporting.readme import describe
from zoo.registry import installed
from zoo.specs import ImageInput, Problem, SeriesInput, Vector, to_builtins
from zoo.tensors import write_tensors
from zoo.weights import fetch_weights
from zoo.weights.layouts import Layout
from zoo.weights.shards import files_of

Answer = Callable[[tuple[Tensor, ...]], Tensor]
TIMM_KEYS = ("architecture", "pretrained_cfg")  # without which timm makes nothing of a config.json


@dataclass(frozen=True, kw_only=True)
class Source:
    """A model to export, what is known of it, and inputs of its forward, `[N, ...]` each.

    `calibration` are more inputs, of training samples where they can be had; `precision` is that of the file.
    """

    module: nn.Module
    card: Card
    inputs: tuple[Tensor, ...]
    calibration: tuple[Tensor, ...] = ()
    precision: str = "fp32"

    def told(self) -> str:
        """What a user of the file must know, as JSON."""
        known = {"model": self.card.name, "problem": to_builtins(self.card.problem)}
        known |= {"preprocess": to_builtins(self.card.preprocess), "labels": list(self.card.labels)}
        known |= {"precision": self.precision}
        return msgspec.json.encode(known).decode()

    @property
    def shapes(self) -> tuple[dict[int, Any], ...]:
        """For `torch.export`: a batch of any size, and a target of any length where the model lets it."""
        batch = torch.export.Dim("batch")
        shapes: tuple[dict[int, Any], ...] = tuple({0: batch} for _ in self.inputs)
        if len(shapes) == 2:  # source and target, which grows as it is written
            shapes[1][1] = torch.export.Dim.AUTO
        return shapes

    @property
    def weights(self) -> tuple[Path, ...]:
        """The safetensors files that the model was loaded from."""
        if self.card.weights is None:
            raise ZooError(f"{self.card.name} has no file of weights")
        return files_of(fetch_weights(self.card.weights))

    @property
    def model(self) -> str:
        """The model's name without a tag."""
        return self.card.weights.model if self.card.weights else self.card.name

    @property
    def layout(self) -> Layout:
        """The layout that the model names, by which others read it."""
        if self.card.spec.layout is None:
            raise ZooError(
                f"{self.card.name} has no layout that Hugging Face's libraries read; "
                "say --format onnx, torch or safetensors"
            )
        registry = installed()
        layout: Layout = registry.resolve(registry.model(self.model)[0].plugin, self.card.spec.layout)
        return layout


@dataclass(frozen=True, kw_only=True)
class Format:
    """How a model is written and read; `extra` is what torch-zoo must have been installed with."""

    suffix: str
    write: Callable[[Source, Path], None]
    read: Callable[[Source, Path], Answer]
    package: str
    extra: str = ""

    def reader(self) -> str:
        """The package by which the file was read, with its version."""
        return f"{self.package} {metadata.version(self.package)}"


# -- onnx -------------------------------------------------------------------------------------


def write_onnx(source: Source, path: Path) -> None:
    """A graph with the names of the forward contract, and its metadata."""
    inputs, output = _names(source.card.problem, len(source.inputs))
    with warnings.catch_warnings(action="ignore"), torch.no_grad():  # of parts that will change in torch
        program: Any = torch.onnx.export(
            source.module,
            source.inputs,
            input_names=inputs,
            output_names=[output],
            dynamic_shapes=source.shapes,
            dynamo=True,
            verbose=False,
        )
    program.model.metadata_props["zoo"] = source.told()
    program.save(path)


def read_onnx(source: Source, path: Path) -> Answer:
    """By onnxruntime, on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()  # so that its speed can be compared
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [given.name for given in session.get_inputs()]

    def answer(inputs: tuple[Tensor, ...]) -> Tensor:
        arrays = {name: tensor.numpy() for name, tensor in zip(names, inputs, strict=True)}
        return torch.from_numpy(session.run(None, arrays)[0])

    return answer


def _names(problem: Problem, count: int) -> tuple[list[str], str]:
    """What the inputs and the output are called in the forward contract of the problem's task."""
    if count == 2:
        return ["source", "target"], "logits"
    if problem.task == "forecasting":
        return ["history"], "forecast"
    output = "embedding" if isinstance(problem.output, Vector) else "logits"
    match problem.input:
        case ImageInput():
            return ["images"], output
        case SeriesInput():
            return ["series"], output
    return ["tokens"], output


# -- torch.export -----------------------------------------------------------------------------


def write_archive(source: Source, path: Path) -> None:
    """An archive of graph, weights and metadata, all of them JSON or plain bytes."""
    with warnings.catch_warnings(action="ignore"), torch.no_grad():
        program = torch.export.export(source.module, source.inputs, dynamic_shapes=source.shapes)
        program.example_inputs = None  # the one part of an ordinary model that torch would pickle
        torch.export.save(program, path, extra_files={"zoo.json": source.told()})
    check_unpickled(path)


def check_unpickled(path: Path) -> None:
    """Raises `ZooError` where an archive of torch.export holds anything that would be unpickled."""
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            inside = entry.filename.partition("/")[2]
            payload = json.loads(archive.read(entry)) if inside.endswith("_config.json") else {}
            pickled = [name for name, told in payload.get("config", {}).items() if told.get("use_pickle")]
            if pickled or (inside.startswith("data/sample_inputs/") and entry.file_size):
                what = ", ".join(pickled) or "sample inputs"
                raise ZooError(f"torch.export would pickle parts of the model: {what}; say --format onnx")


def read_archive(source: Source, path: Path) -> Answer:
    """By torch alone; what is read was found to hold no pickle when it was written."""
    with warnings.catch_warnings(action="ignore"):
        module = torch.export.load(path).module()
    return lambda inputs: module(*inputs)


# -- weights alone ----------------------------------------------------------------------------


def write_safetensors(source: Source, path: Path) -> None:
    """The file that the weights came in, byte for byte; of several, one that holds all of their tensors."""
    files = source.weights
    if len(files) == 1:
        shutil.copyfile(files[0], path)
    else:
        tensors = {name: tensor for file in files for name, tensor in load_file(file).items()}
        write_tensors(path, tensors, {"format": "pt"})


def read_safetensors(source: Source, path: Path) -> Answer:
    """By `zoo.load`, into a new module."""
    card = source.card
    module = api.load(source.model, weights=str(path), problem=card.problem, **card.options)
    return lambda inputs: module(*inputs)


def write_timm(source: Source, path: Path) -> None:
    """A folder of the weights and of the `config.json` that a run of timm's architectures has."""
    files = source.weights
    config = files[0].with_name("config.json")
    known: Mapping[str, Any] = json.loads(config.read_bytes()) if config.is_file() else {}
    if not all(key in known for key in TIMM_KEYS) or len(files) > 1:
        raise ZooError(
            f"{source.card.name} has no config.json of timm's beside its weights; only a finished run of one "
            "of timm's own architectures has: zoo export RUN --format timm"
        )
    path.mkdir()
    shutil.copyfile(config, path / config.name)
    shutil.copyfile(files[0], path / "model.safetensors")


def read_timm(source: Source, path: Path) -> Answer:
    """By timm, which knows nothing of zoo."""
    import timm

    module = timm.create_model(f"local-dir:{path}", pretrained=True).eval()
    return lambda inputs: module(*inputs)


# -- as another library lays it out ----------------------------------------------------------


def write_huggingface(source: Source, path: Path) -> None:
    """A folder of what the model's layout makes of the module as it is, and a README.md."""
    tensors, beside = source.layout.write(source.module)
    path.mkdir()
    write_tensors(path / "model.safetensors", tensors, {"format": "pt"})
    for name, content in {"README.md": describe(source.card, source.model), **beside}.items():
        file = path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)


def read_huggingface(source: Source, path: Path) -> Answer:
    """By `zoo.load`, as it reads a folder that the other library wrote."""
    module = api.load(source.model, weights=f"file:{path}")
    return lambda inputs: module(*inputs)


FORMATS: Mapping[str, Format] = {
    "onnx": Format(suffix=".onnx", write=write_onnx, read=read_onnx, package="onnxruntime", extra="export"),
    "torch": Format(suffix=".pt2", write=write_archive, read=read_archive, package="torch"),
    "safetensors": Format(
        suffix=".safetensors", write=write_safetensors, read=read_safetensors, package="torch-zoo"
    ),
    "timm": Format(suffix="-timm", write=write_timm, read=read_timm, package="timm"),
    "huggingface": Format(
        suffix="-huggingface", write=write_huggingface, read=read_huggingface, package="torch-zoo"
    ),
}
