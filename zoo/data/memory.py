"""Where samples lie: in a mapped file, in memory, on a device."""

from __future__ import annotations

import warnings
from typing import Any

import psutil
import torch
from numpy.typing import NDArray
from torch import Tensor


def mapped_tensor(array: NDArray[Any]) -> Tensor:
    """The tensor that shares an array's memory, which may be a file that is mapped."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a mapped file must not be written to; nobody does
        return torch.from_numpy(array)


def fetch_rows(source: Tensor, rows: Tensor, device: torch.device) -> Tensor:
    """`source[rows]` on `device`; from a CPU to a GPU it is pinned first, and may still be under way."""
    if source.device == device:
        return source.index_select(0, rows)
    pinned = device.type == "cuda"
    found = torch.empty((len(rows), *source.shape[1:]), dtype=source.dtype, pin_memory=pinned)
    return torch.index_select(source, 0, rows, out=found).to(device, non_blocking=True)


def has_room(device: torch.device, size: int, *, share: float) -> bool:
    """Whether `size` bytes take no more than a share of the memory that is free on a device.

    There is always room for what is in the CPU's memory already.
    """
    if device.type == "cpu":
        return True
    if device.type == "cuda":
        return size <= share * torch.cuda.mem_get_info(device)[0]
    return bool(size <= share * psutil.virtual_memory().available)  # which it has in common with the CPU
