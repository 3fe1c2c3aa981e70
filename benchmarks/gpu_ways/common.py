"""What the loops have in common: the device, autocast, the result."""

from __future__ import annotations

import torch
from torch import nn

from gpu_ways.job import Job, Result, Watch

SEED = 0
LR, WEIGHT_DECAY = 1e-3, 0.05


def set_up(job: Job) -> torch.device:
    """The device; products of matrices that stay in fp32 may use TF32 there."""
    torch.manual_seed(SEED)
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.benchmark = True
    return torch.device(job.device)


def autocast(job: Job) -> torch.autocast:
    """bf16 for what is safe in it."""
    return torch.autocast(job.device, dtype=torch.bfloat16)


def result_of(watch: Watch, model: nn.Module, job: Job) -> Result:
    """What came of a training in this process."""
    return Result(
        seconds=watch.seconds,
        peak_bytes=torch.cuda.max_memory_allocated() if job.device == "cuda" else 0,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
    )
