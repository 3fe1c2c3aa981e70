"""A model in parts, one for each process (FSDP2), and its checkpoint in as many files.

torch's `fully_shard` and its distributed checkpoints do it, the latter in their safetensors form. What is
here takes a second to import, so that the rest of the package does it where a model is sharded only.
"""

from __future__ import annotations

import contextlib
import shutil
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader, HuggingFaceStorageWriter
from torch.distributed.checkpoint.metadata import TensorStorageMetadata
from torch.distributed.checkpoint.state_dict import StateDictOptions, set_model_state_dict
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from zoo.errors import RunError, TrainingError, first_line
from zoo.training.blocks import blocks


def shard(module: nn.Module, device: torch.device, world: int, half: torch.dtype | None) -> nn.Module:
    """The same module, of whose parameters each of `world` processes keeps a part, block by block.

    It computes in `half` where given, and exchanges gradients in fp32. Raises `TrainingError` where torch
    left a parameter whole.
    """
    policy = MixedPrecisionPolicy(param_dtype=half, reduce_dtype=torch.float32 if half else None)
    mesh = init_device_mesh(device.type, (world,))
    for block in blocks(module):
        fully_shard(block, mesh=mesh, mp_policy=policy)
    fully_shard(module, mesh=mesh, mp_policy=policy)
    whole = [name for name, parameter in module.named_parameters() if not isinstance(parameter, DTensor)]
    if whole:
        raise TrainingError(f"torch did not shard {whole[0]!r}; leave --shard out")
    return module


@contextlib.contextmanager
def unsynced(module: nn.Module) -> Iterator[None]:
    """Gradients stay with the process that computed them."""
    assert isinstance(module, FSDPModule)
    module.set_requires_gradient_sync(False)
    try:
        yield
    finally:
        module.set_requires_gradient_sync(True)


def whole_tensor(tensor: Tensor) -> Tensor:
    """All parts of a tensor together; every process must ask for it."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def fill(module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Puts whole tensors into a module, of which each process keeps its part."""
    options = StateDictOptions(full_state_dict=True, strict=False)
    set_model_state_dict(module, dict(tensors), options=options)


def part_like(tensor: Tensor, parameter: Tensor) -> Tensor:
    """A piece of an optimizer's state, in parts where its parameter is."""
    if isinstance(parameter, DTensor) and tensor.shape == parameter.shape:
        return distribute_tensor(tensor, parameter.device_mesh, parameter.placements)
    return tensor


def write_shards(folder: Path, tensors: Mapping[str, Tensor], engine: Any) -> None:
    """A file of each process's own parts; what was left there half-written goes first."""
    if engine.main:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
    engine.barrier()
    try:
        save(dict(tensors), storage_writer=HuggingFaceStorageWriter(str(folder), save_distributed=True))
    except Exception as error:  # torch collects what went wrong in every process
        raise RunError(f"{str(folder)!r} cannot be written: {first_line(error)}") from error
    engine.barrier()


def read_shards(folder: Path) -> dict[str, Tensor]:
    """The whole tensors of which each process saved its parts; raises `FileNotFoundError`."""
    kept = HuggingFaceStorageReader(str(folder)).read_metadata().state_dict_metadata
    tensors = {
        name: torch.empty(found.size, dtype=found.properties.dtype)
        for name, found in kept.items()
        if isinstance(found, TensorStorageMetadata)
    }
    if not tensors:
        raise FileNotFoundError(folder)
    with warnings.catch_warnings():  # that no other process takes part
        warnings.simplefilter("ignore")
        load(dict(tensors), storage_reader=HuggingFaceStorageReader(str(folder)), no_dist=True)
    return tensors
