"""Language models the way of nanoGPT: a compiled module, bf16 autocast, fused AdamW, clipped gradients."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional as F

import zoo
from gpu_ways.common import autocast, result_of, set_up
from gpu_ways.gpt2 import GPT2
from gpu_ways.job import EPOCHS, Job, Result, Watch

LR, MIN_LR, WEIGHT_DECAY, BETAS, CLIP = 6e-4, 6e-5, 0.1, (0.9, 0.95), 1.0


def train_gpt2(job: Job) -> Result:
    """GPT-2 itself."""
    return _train(job, GPT2(job.classes, job.shape[0], job.dim, job.depth, job.heads))


def train_ours_by_hand(job: Job) -> Result:
    """Our network in the same loop: what differs from `zoo.train` is the trainer alone."""
    source = zoo.TokenInput(vocab_size=job.classes, length=job.shape[0])
    target = zoo.TokenOutput(vocab_size=job.classes, length=job.shape[0])
    problem = zoo.Problem(task="language-modeling", input=source, output=target)
    return _train(job, zoo.load(job.model, problem=problem, dim=job.dim, depth=job.depth, heads=job.heads))


def _train(job: Job, model: nn.Module) -> Result:
    device, (length,) = set_up(job), job.shape
    model = model.to(device).train()
    run = torch.compile(model) if job.compile else model
    optimizer = _adamw(model)
    stream = torch.randint(job.classes, (job.samples * length + 1,), device=device)
    steps, total = torch.arange(length + 1, device=device), EPOCHS * job.steps
    watch = Watch(job.steps)
    for number in range(total):
        for group in optimizer.param_groups:
            group["lr"] = MIN_LR + (LR - MIN_LR) * (1 + math.cos(math.pi * number / total)) / 2
        starts = torch.randint(len(stream) - length, (job.batch, 1), device=device)
        windows = stream[starts + steps]  # [B, T + 1]
        with autocast(job):
            logits = run(windows[:, :-1])
            loss = F.cross_entropy(logits.flatten(0, 1), windows[:, 1:].flatten())
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        watch.step(loss.item)
    return result_of(watch, model, job)


def _adamw(model: nn.Module) -> torch.optim.AdamW:
    parameters = list(model.parameters())
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": WEIGHT_DECAY},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=LR, betas=BETAS, fused=True)
