"""Weights for images of another size or with other channels, fitted as timm does it."""

from __future__ import annotations

from typing import Any

from timm.layers import resample_abs_pos_embed
from timm.models import adapt_input_conv
from torch import Tensor

POSITIONS = "pos_embed"


def adapt(tensors: dict[str, Tensor], module: Any) -> dict[str, str]:
    """First convolutions summed or repeated to the image's channels, positions resampled to its patches.

    Changes `tensors` where shapes differ, and returns what was done to which.
    """
    wanted, told = module.state_dict(), {}
    first = getattr(module, "pretrained_cfg", {}).get("first_conv") or ()
    for name in [first] if isinstance(first, str) else first:
        key = f"{name}.weight"
        given, channels = tensors.get(key), wanted[key].shape[1] if key in wanted else 0
        if given is not None and channels and given.shape[1] != channels:
            tensors[key] = adapt_input_conv(channels, given, base_chans=given.shape[1])
            told[key] = f"{given.shape[1]} to {channels} input channels"
    positions, grid = tensors.get(POSITIONS), getattr(getattr(module, "patch_embed", None), "grid_size", None)
    if positions is not None and grid and wanted[POSITIONS].shape != positions.shape:
        prefix = wanted[POSITIONS].shape[1] - grid[0] * grid[1]
        tensors[POSITIONS] = resample_abs_pos_embed(positions, list(grid), num_prefix_tokens=prefix)
        told[POSITIONS] = f"positions resampled to {grid[0]} x {grid[1]} patches"
    return told
