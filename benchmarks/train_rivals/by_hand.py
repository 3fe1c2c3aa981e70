"""The loop that one writes by hand: no library, nothing but what the training itself needs."""

from __future__ import annotations

import torch

from train_rivals.cases import SEED
from train_rivals.job import Job, Result, Watch
from train_rivals.torch_side import build, count_parameters, loss_of, make_adamw, make_tensors, start_loss


def train(job: Job) -> Result:
    """Tensors taken by random rows, one step after another."""
    torch.set_num_threads(job.threads)
    inputs, targets = make_tensors(job)
    model, watch = build(job.of), Watch(job)
    first = start_loss(model, job)
    optimizer = make_adamw(model, job)
    order = torch.randperm(len(inputs), generator=torch.Generator().manual_seed(SEED))
    for rows in order.split(job.of.batch):
        loss = loss_of(model(inputs[rows]), targets[rows])
        loss.backward()
        if job.of.clip:
            torch.nn.utils.clip_grad_norm_(model.parameters(), job.of.clip)
        optimizer.step()
        optimizer.zero_grad()
        watch.step(loss.item)
    return Result(
        seconds=watch.seconds,
        parameters=count_parameters(model),
        start_loss=first,
        version=f"torch {torch.__version__}",
    )
