"""Exported files with numbers of 16 or 8 bits in place of 32: smaller, and often quicker.

bf16 keeps each weight as a bfloat16. int8 keeps the weights of dense, recurrent and convolutional layers as
whole numbers with a scale for each of their outputs: in ONNX by onnxruntime's quantizer, where inputs become
whole numbers too, those of convolutions by ranges seen on training samples, and weights take 7 of the 8 bits,
so that no sum of two products overflows 16 bits on a processor without VNNI; in archives of torch.export by
torchao, where weights alone do, and recurrent layers stay. None is pickled, each is read as that in fp32.
"""

from __future__ import annotations

import copy
import logging
import math
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor, nn
from torch.nn.utils import parametrize

from zoo.errors import ZooError, hint
from zoo.exporting.formats import Source, write_archive
from zoo.tensors import write_tensors

BATCH = 16  # training samples at a time
FEW = 64  # numbers of a tensor that is not worth a change
DENSE = ("MatMul", "LSTM", "GRU", "Gather")  # operations by which a graph is more than convolutions
LAYERS = (nn.Linear, nn.Embedding, nn.Conv1d, nn.Conv2d, nn.Conv3d)
LARGEST = 1 << 31  # bytes of a file in which an ONNX graph holds its weights itself

Convert = Callable[[Source, Path, Path], None]


@dataclass(frozen=True)
class Lowering:
    """How a file or folder in fp32 becomes one of lower precision; `extra` is what that needs installed."""

    convert: Convert
    extra: str = ""


# -- onnx -------------------------------------------------------------------------------------


def store_bf16(source: Source, plain: Path, path: Path) -> None:
    """The graph with its weights in bf16, made fp32 again where they are used."""
    import onnx

    model = onnx.load(plain)
    casts = []
    for weight in model.graph.initializer:
        if weight.data_type != onnx.TensorProto.FLOAT or math.prod(weight.dims) < FEW:
            continue
        name = weight.name
        values = torch.from_numpy(onnx.numpy_helper.to_array(weight).copy()).bfloat16()
        raw = values.view(torch.uint16).numpy().tobytes()
        weight.CopyFrom(
            onnx.TensorProto(
                name=f"{name}_bf16", dims=weight.dims, data_type=onnx.TensorProto.BFLOAT16, raw_data=raw
            )
        )
        casts.append(
            onnx.helper.make_node("Cast", [weight.name], [name], f"{name}_fp32", to=onnx.TensorProto.FLOAT)
        )
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    _save(source, model, path)


def quantize_onnx(source: Source, plain: Path, path: Path) -> None:
    """The graph with int8 weights: convolutions calibrated, all else quantized as it comes."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory() as made, _silent():
        ready, halfway, done = (Path(made, name) for name in ("ready.onnx", "half.onnx", "done.onnx"))
        beside = plain.stat().st_size > LARGEST
        quant_pre_process(plain, ready, skip_symbolic_shape=True, save_as_external_data=beside)
        weights: dict[str, Any] = {
            "per_channel": True,
            "weight_type": QuantType.QInt8,
            "reduce_range": True,
            "use_external_data_format": beside,
        }
        kinds = {node.op_type for node in onnx.load(ready, load_external_data=False).graph.node}
        mixed = bool(kinds.intersection(DENSE))
        if "Conv" in kinds:
            quantize_static(
                ready,
                halfway,
                _Calibration(ready, source.calibration),
                op_types_to_quantize=["Conv"] if mixed else None,
                activation_type=QuantType.QUInt8,
                **weights,
            )
            ready = halfway
        if mixed or "Conv" not in kinds:
            quantize_dynamic(
                ready,
                done,
                op_types_to_quantize=["MatMul", "Gemm", "LSTM", "Gather"],
                **weights,
            )
            ready = done
        model = onnx.load(ready)
    if not any(weight.data_type == onnx.TensorProto.INT8 for weight in model.graph.initializer):
        raise ZooError(f"{source.card.name} has no layer that becomes int8; leave out --precision")
    _save(source, model, path)


class _Calibration:
    """Training samples, a batch at a time, for onnxruntime to see the ranges of numbers in between."""

    def __init__(self, graph: Path, inputs: tuple[Tensor, ...]) -> None:
        import onnxruntime

        session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
        names = [given.name for given in session.get_inputs()]
        batches = zip(*(torch.split(tensor, BATCH) for tensor in inputs), strict=True)
        self._feeds: Iterator[dict[str, Any]] = iter(
            [{name: part.numpy() for name, part in zip(names, batch, strict=True)} for batch in batches]
        )

    def get_next(self) -> dict[str, Any] | None:
        """The next batch, or None at the end."""
        return next(self._feeds, None)


def _save(source: Source, model: Any, path: Path) -> None:
    import onnx

    onnx.helper.set_model_props(model, {"zoo": source.told()})
    beside = model.ByteSize() > LARGEST
    onnx.save(model, path, save_as_external_data=beside, location=f"{path.name}.data" if beside else None)


# -- torch.export -----------------------------------------------------------------------------


class _InBf16(nn.Module):
    """A module that computes in bf16, with inputs and output in fp32; by autocast where that is `mixed`."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = copy.deepcopy(module).bfloat16()
        self.mixed = False

    def forward(self, first: Tensor, second: Tensor | None = None) -> Tensor:
        """As the module does."""
        given = (first,) if second is None else (first, second)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.mixed):
            output: Tensor = self.module(*(_cast(each) for each in given)).float()
        return output


def archive_bf16(source: Source, plain: Path, path: Path) -> None:
    """An archive of the module that computes in bf16, but for what its forward makes in fp32 itself."""
    module = _InBf16(source.module).eval()
    try:
        with torch.no_grad():
            module(*source.inputs)
    except (RuntimeError, ValueError):  # where numbers of both kinds meet
        module.mixed = True
    write_archive(replace(source, module=module), path)


class _Scaled(nn.Module):
    """A weight `[O, ...]` out of int8 values and a scale for each of its `O` parts."""

    def __init__(self, values: Tensor, scale: Tensor) -> None:
        super().__init__()
        self._found = values, scale

    def forward(self, values: Tensor, scale: Tensor) -> Tensor:
        """As the layer, or whoever else reads its weight, takes it."""
        return values.to(scale.dtype) * scale

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """What is kept of the weight."""
        return self._found


def archive_int8(source: Source, plain: Path, path: Path) -> None:
    """An archive with int8 weights of dense layers, convolutions and embeddings, which torch alone reads."""
    module = copy.deepcopy(source.module).requires_grad_(False)
    layers: list[Any] = [part for part in module.modules() if isinstance(part, LAYERS)]
    if not layers:
        raise ZooError(f"{source.card.name} has no layer that becomes int8; leave out --precision")
    with _silent():
        for layer in layers:
            if not parametrize.is_parametrized(layer, "weight"):
                scaled = _scaled(layer.weight.detach())
                parametrize.register_parametrization(layer, "weight", scaled, unsafe=True)
        write_archive(replace(source, module=module), path)


def _scaled(weight: Tensor) -> _Scaled:
    """The weight as torchao makes it int8, which does so with dense layers only."""
    from torchao.quantization import Int8WeightOnlyConfig, quantize_

    dense = nn.Linear(weight[0].numel(), len(weight), bias=False)
    dense.weight = nn.Parameter(weight.flatten(1), requires_grad=False)
    quantize_(dense, Int8WeightOnlyConfig())
    found: Any = dense.weight
    scale = found.scale.reshape(-1, *(1 for _ in weight.shape[1:]))
    return _Scaled(found.qdata.reshape(weight.shape), scale)


# -- weights alone ----------------------------------------------------------------------------


def cast_weights(source: Source, plain: Path, path: Path) -> None:
    """The file, or the folder with it, with every weight in bf16; `zoo.load` reads it as fp32."""
    if plain.is_dir():
        shutil.copytree(plain, path)
    for file in [plain] if plain.is_file() else path.rglob("*.safetensors"):
        with safe_open(file, "pt") as opened:
            told = opened.metadata()
            tensors = {name: _cast(opened.get_tensor(name)) for name in opened.keys()}  # noqa: SIM118 - no mapping
        write_tensors(path if plain.is_file() else file, tensors, told)


def _cast(tensor: Tensor) -> Tensor:
    return tensor.bfloat16() if tensor.is_floating_point() else tensor


@contextmanager
def _silent() -> Iterator[None]:
    """Says nothing of what other libraries warn of."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logging.disable(level)


LOWERINGS: Mapping[tuple[str, str], Lowering] = {
    ("onnx", "bf16"): Lowering(store_bf16),
    ("onnx", "int8"): Lowering(quantize_onnx),
    ("torch", "bf16"): Lowering(archive_bf16),
    ("torch", "int8"): Lowering(archive_int8, extra="int8"),
    ("safetensors", "bf16"): Lowering(cast_weights),
    ("timm", "bf16"): Lowering(cast_weights),
    ("huggingface", "bf16"): Lowering(cast_weights),
}


def lowering(format: str, precision: str) -> Lowering:
    """How a file of that format gets that precision; raises `ZooError` where none can have it."""
    if found := LOWERINGS.get((format, precision)):
        return found
    known = [name for name, each in LOWERINGS if each == precision]
    if known:
        raise ZooError(f"{format} is not written in {precision}; say --format {' or '.join(known)}")
    raise ZooError(f"no precision named {precision!r}; {hint(precision, ('fp32', 'bf16', 'int8'))}")
