"""Patches: stretches of a series, of which each is one element for the blocks."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def cut_patches(series: Tensor, patch: int, stride: int) -> Tensor:
    """Series `[..., T]` to patches `[..., N, patch]`, one every `stride` steps.

    The series' last value is repeated to the end of the last patch, so that every step is in one.
    """
    count = count_patches(series.shape[-1], patch, stride)
    missing = (count - 1) * stride + patch - series.shape[-1]
    last = series[..., -1:].expand(*series.shape[:-1], missing)
    return torch.cat([series, last], dim=-1).unfold(-1, patch, stride)


def count_patches(length: int, patch: int, stride: int) -> int:
    """How many patches it takes to cover `length` steps."""
    return 1 + max(0, math.ceil((length - patch) / stride))
