"""What a run needs to go on exactly where it stopped: tensors as safetensors, the rest as JSON.

`last/state.json` names the tensors' file. It is replaced in one go, after that file is whole, so
that a process killed at any moment leaves either the old checkpoint or the new.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import msgspec
import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn

from zoo.errors import RunError
from zoo.runs import write_whole

STATE = "state.json"


def save_weights(path: Path, module: nn.Module, receipt: dict[str, Any]) -> None:
    """A module's state dict as one safetensors file, tied tensors once, the receipt in its header."""
    metadata = {"format": "pt", "zoo": msgspec.json.encode(receipt).decode()}
    write_whole(path, save(state_tensors(module), metadata))


def state_tensors(module: nn.Module) -> dict[str, Tensor]:
    """The state dict as contiguous CPU tensors; of tied tensors the first name is kept."""
    seen: set[int] = set()
    tensors: dict[str, Tensor] = {}
    for name, tensor in module.state_dict(keep_vars=True).items():
        if id(tensor) not in seen:
            seen.add(id(tensor))
            tensors[name] = tensor.detach().to("cpu", copy=True).contiguous()
    return tensors


def save_checkpoint(
    folder: Path, *, modules: dict[str, nn.Module], optimizer: Any, state: dict[str, Any]
) -> None:
    """Writes `last/`: the modules' and the optimizer's tensors, and `state` with its plain values."""
    folder.mkdir(exist_ok=True)
    tensors = {
        f"{part}.{name}": tensor
        for part, module in modules.items()
        for name, tensor in state_tensors(module).items()
    }
    plain: dict[str, dict[str, Any]] = {}
    for index, values in optimizer.state_dict()["state"].items():
        for name, value in values.items():
            if isinstance(value, Tensor):
                tensors[f"optimizer.{index}.{name}"] = value.detach().cpu().contiguous()
            else:
                plain.setdefault(str(index), {})[name] = value
    file = f"step-{state['step']:09d}.safetensors"
    write_whole(folder / file, save(tensors))
    document = {"file": file, "optimizer": plain, **state}
    write_whole(folder / STATE, msgspec.json.format(msgspec.json.encode(document), indent=2))
    for stale in folder.glob("step-*.safetensors"):
        if stale.name != file:
            stale.unlink(missing_ok=True)


def load_checkpoint(folder: Path, *, modules: dict[str, nn.Module], optimizer: Any) -> dict[str, Any]:
    """Puts `last/` back into the modules and the optimizer and returns the state that was saved."""
    try:
        state: dict[str, Any] = msgspec.json.decode((folder / STATE).read_bytes())
        tensors = load_file(folder / state.pop("file"))
    except FileNotFoundError:
        raise RunError(f"{os.fspath(folder)!r} holds no checkpoint to go on from") from None
    for part, module in modules.items():
        prefix = f"{part}."
        own = {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)}
        module.load_state_dict(own, strict=False)
    saved: dict[int, dict[str, Any]] = {
        int(index): dict(values) for index, values in state.pop("optimizer").items()
    }
    for name, tensor in tensors.items():
        part, _, rest = name.partition(".")
        if part == "optimizer":
            index, _, key = rest.partition(".")
            saved.setdefault(int(index), {})[key] = tensor
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": saved, "param_groups": groups})
    return state


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
