"""In which precision to train: what the recipe says, else what is fast here and exact enough."""

from __future__ import annotations

import functools
import time

import torch
from torch import nn

from zoo.specs import Precision, Problem

GAIN = 1.2  # times as fast must bf16 be on a CPU to be worth its rounding


def choose_precision(wanted: str, problem: Problem, device: str) -> Precision:
    """`auto` is bf16 where the device computes it itself and faster, else fp32.

    Forecasts stay in fp32: their error is measured in units that bf16, with its 8 bits, rounds away.
    """
    if wanted != "auto":
        return wanted  # type: ignore[return-value]
    if problem.keeps_fp32:
        return "fp32"
    if device in ("auto", "cuda") and torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    if device == "mps" or (device == "auto" and torch.backends.mps.is_available()):
        return "fp32"
    return "bf16" if cpu_prefers_bf16() else "fp32"


@functools.cache
def cpu_prefers_bf16() -> bool:
    """Whether this CPU computes in bf16, and a dense layer and a convolution are faster so.

    A CPU without instructions for it is not asked: it would convert forth and back.
    """
    if not (torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()):
        return False
    with torch.random.fork_rng(devices=[]):  # layers draw their weights
        dense, convolution = nn.Linear(1024, 1024), nn.Conv2d(64, 64, 3, padding=1)
        return min(_gain(dense, (256, 1024)), _gain(convolution, (32, 64, 28, 28))) >= GAIN


def _gain(layer: nn.Module, shape: tuple[int, ...]) -> float:
    kinds = torch.float32, torch.bfloat16
    full, half = (_seconds(layer.to(kind), torch.ones(shape, dtype=kind)) for kind in kinds)
    return full / half


@torch.inference_mode()
def _seconds(layer: nn.Module, inputs: torch.Tensor) -> float:
    """The best of five."""
    taken = []
    for _ in range(5):
        started = time.perf_counter()
        layer(inputs)
        taken.append(time.perf_counter() - started)
    return min(taken)
