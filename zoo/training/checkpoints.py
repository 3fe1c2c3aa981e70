"""What a run needs to go on exactly where it stopped: tensors as safetensors, the rest as JSON.

`last/state.json` names the tensors' file, or the folder with a file of each process of a sharded model.
It is replaced in one go, after those are whole, so that a process killed at any moment leaves either the
old checkpoint or the new.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from zoo.errors import RunError
from zoo.runs import write_whole
from zoo.tensors import write_tensors
from zoo.training.engine import Engine, is_part

STATE = "state.json"
OPTIMIZER = "optimizer"


def save_weights(path: Path, module: nn.Module, receipt: dict[str, Any], *, write: bool = True) -> None:
    """A module's state dict as one safetensors file, tied tensors once, the receipt in its header.

    Every process of a sharded model must ask for it; one of them says `write`.
    """
    tensors = state_tensors(module)
    if write:
        metadata = {"format": "pt", "zoo": msgspec.json.encode(receipt).decode()}
        _write_tensors(path, tensors, metadata)


def load_weights(path: Path, module: nn.Module) -> None:
    """Puts what `save_weights` wrote into the module, sharded or not."""
    _fill(module, load_file(path))


def state_tensors(module: nn.Module) -> dict[str, Tensor]:
    """The state dict as contiguous CPU tensors; of tied tensors the first name is kept."""
    return {name: _whole(tensor) for name, tensor in _untied(module).items()}


def _untied(module: nn.Module) -> dict[str, Tensor]:
    seen: set[int] = set()
    tensors: dict[str, Tensor] = {}
    for name, tensor in module.state_dict(keep_vars=True).items():
        if id(tensor) not in seen:
            seen.add(id(tensor))
            tensors[name] = tensor.detach()
    return tensors


def _whole(tensor: Tensor) -> Tensor:
    if is_part(tensor):
        from zoo.training.shards import whole_tensor  # slow to import

        tensor = whole_tensor(tensor)
    view = tensor.untyped_storage().nbytes() != tensor.nbytes  # a file may hold no memory twice
    return tensor.to("cpu", copy=view).contiguous()


def _write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """As `write_tensors`; raises `RunError` where it cannot be written, and leaves the old file then."""
    try:
        write_tensors(path, tensors, metadata)
    except (OSError, SafetensorError) as error:
        raise RunError(f"{str(path)!r} cannot be written: {_reason(error)}") from None


def _reason(error: OSError | SafetensorError) -> str:
    """What the system says of a file, which safetensors has in words of its own."""
    if isinstance(error, OSError):
        return error.strerror or str(error)
    found = re.search(r"\(os error (\d+)\)", str(error))
    return os.strerror(int(found[1])) if found else str(error)


def _fill(module: nn.Module, tensors: dict[str, Tensor]) -> None:
    if any(map(is_part, module.parameters())):
        from zoo.training.shards import fill  # slow to import

        fill(module, tensors)
    else:
        module.load_state_dict(tensors, strict=False)


def save_checkpoint(
    folder: Path, *, modules: Mapping[str, nn.Module], optimizer: Any, state: dict[str, Any], engine: Engine
) -> None:
    """Writes `last/`: the modules' and the optimizer's tensors, and `state` with its plain values.

    Every process must ask for it.
    """
    tensors, plain = _parts(modules, optimizer)
    name = f"step-{state['step']:09d}" + ("" if engine.shard else ".safetensors")
    if engine.main:
        folder.mkdir(exist_ok=True)
    if engine.shard:
        from zoo.training.shards import write_shards  # slow to import

        write_shards(folder / name, tensors, engine)
    elif engine.main:
        _write_tensors(folder / name, {key: _whole(tensor) for key, tensor in tensors.items()})
    if engine.main:
        document = {"file": name, "optimizer": plain, **state}
        write_whole(folder / STATE, msgspec.json.format(msgspec.json.encode(document), indent=2))
        for stale in folder.glob("step-*"):
            if stale.name != name:
                shutil.rmtree(stale) if stale.is_dir() else stale.unlink(missing_ok=True)


def load_checkpoint(folder: Path, *, modules: Mapping[str, nn.Module], optimizer: Any) -> dict[str, Any]:
    """Puts `last/` back into the modules and the optimizer and returns the state that was saved.

    It may be that of another number of processes, sharded or not.
    """
    try:
        state: dict[str, Any] = msgspec.json.decode((folder / STATE).read_bytes())
        path = folder / state.pop("file")
        tensors = load_file(path) if path.is_file() else _read_shards(path)
    except FileNotFoundError:
        raise RunError(f"{os.fspath(folder)!r} holds no checkpoint to go on from") from None
    for part, module in modules.items():
        prefix = f"{part}."
        own = {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)}
        _fill(module, own)
    saved: dict[int, dict[str, Any]] = {
        int(index): dict(values) for index, values in state.pop("optimizer").items()
    }
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for name, tensor in tensors.items():
        part, _, rest = name.partition(".")
        if part == OPTIMIZER:
            index, _, key = rest.partition(".")
            saved.setdefault(int(index), {})[key] = _placed(tensor, parameters[int(index)])
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": saved, "param_groups": groups})
    return state


def _parts(
    modules: Mapping[str, nn.Module], optimizer: Any
) -> tuple[dict[str, Tensor], dict[str, dict[str, Any]]]:
    """Every tensor by its part's name, and what an optimizer keeps besides tensors."""
    tensors = {
        f"{part}.{name}": tensor
        for part, module in modules.items()
        for name, tensor in _untied(module).items()
    }
    plain: dict[str, dict[str, Any]] = {}
    for index, values in optimizer.state_dict()["state"].items():
        for name, value in values.items():
            if isinstance(value, Tensor):
                tensors[f"{OPTIMIZER}.{index}.{name}"] = value.detach()
            else:
                plain.setdefault(str(index), {})[name] = value
    return tensors, plain


def _read_shards(folder: Path) -> dict[str, Tensor]:
    from zoo.training.shards import read_shards  # slow to import

    return read_shards(folder)


def _placed(tensor: Tensor, parameter: Tensor) -> Tensor:
    """A piece of an optimizer's state, in parts where its parameter is, and in memory in the same order."""
    if not is_part(parameter):
        if tensor.shape != parameter.shape:
            return tensor
        return torch.empty_like(parameter, dtype=tensor.dtype, device=tensor.device).copy_(tensor)
    from zoo.training.shards import part_like  # slow to import

    return part_like(tensor, parameter)


def memory_peak(before: int) -> int | None:
    """Bytes: the peak of device memory where there is CUDA, else of resident memory above `before`."""
    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_reserved())
    try:
        import resource
    except ImportError:  # not on Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return max(0, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit - before)
