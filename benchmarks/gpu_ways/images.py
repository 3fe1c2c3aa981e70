"""Images: a loop made of timm's parts, as its own training script puts them together, and one by hand."""

from __future__ import annotations

import timm
import torch
from timm.data.loader import PrefetchLoader
from timm.optim import create_optimizer_v2
from timm.scheduler import CosineLRScheduler
from torch.nn import functional as F

import zoo
from gpu_ways.common import LR, WEIGHT_DECAY, autocast, result_of, set_up
from gpu_ways.job import EPOCHS, Job, Result, Watch

BATCHES = 4  # that are there in bytes, over and over


def train_by_timm(job: Job) -> Result:
    """The model, optimizer, schedule and loader of timm; bytes on the device become normalised batches."""
    device = set_up(job)
    model = timm.create_model(job.model.partition("/")[2], num_classes=job.classes)
    model = model.to(device, memory_format=torch.channels_last).train()
    optimizer = create_optimizer_v2(model, opt="adamw", lr=LR, weight_decay=WEIGHT_DECAY)
    scheduler = CosineLRScheduler(optimizer, t_initial=EPOCHS * job.steps, t_in_epochs=False)
    run = torch.compile(model) if job.compile else model
    images = torch.randint(256, (BATCHES, job.batch, *job.shape), dtype=torch.uint8, device=device)
    labels = torch.randint(job.classes, (BATCHES, job.batch), device=device)
    batches = [(images[number % BATCHES], labels[number % BATCHES]) for number in range(job.steps)]
    loader = PrefetchLoader(batches, channels=job.shape[0], device=device)  # type: ignore[arg-type]
    watch = Watch(job.steps)
    for _ in range(EPOCHS):
        for inputs, targets in loader:
            inputs = inputs.contiguous(memory_format=torch.channels_last)
            with autocast(job):
                loss = F.cross_entropy(run(inputs), targets)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            scheduler.step_update(watch.done + 1)
            watch.step(loss.item)
    return result_of(watch, model, job)


def train_by_hand(job: Job) -> Result:
    """Small images that lie on the device as normalised tensors, taken by random rows."""
    device = set_up(job)
    channels, height, width = job.shape
    problem = zoo.Problem(
        task="image-classification",
        input=zoo.ImageInput(channels=channels, height=height, width=width),
        output=zoo.Classes(count=job.classes),
    )
    model = zoo.load(job.model, problem=problem, device=device).train()
    model = model.to(memory_format=torch.channels_last)
    run = torch.compile(model) if job.compile else model
    images = torch.randn(job.samples, *job.shape, device=device)
    labels = torch.randint(job.classes, (job.samples,), device=device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LR, weight_decay=WEIGHT_DECAY, fused=True)
    watch = Watch(job.steps)
    for _ in range(EPOCHS):
        for rows in torch.randperm(job.samples, device=device).split(job.batch):
            inputs = images[rows].contiguous(memory_format=torch.channels_last)
            with autocast(job):
                loss = F.cross_entropy(run(inputs), labels[rows])
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            watch.step(loss.item)
    return result_of(watch, model, job)
