"""What the contestants that train a torch module have in common: the module, its optimizer, its loss."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import zoo
from train_rivals.cases import BETAS, EPSILON, LR, SEED, WEIGHT_DECAY, Case, make_data
from train_rivals.job import Job


def problem_of(case: Case) -> zoo.Problem:
    """What the model is to solve."""
    if case.task == "language-modeling":
        (length,) = case.shape
        source = zoo.TokenInput(vocab_size=case.classes, length=length)
        target = zoo.TokenOutput(vocab_size=case.classes, length=length)
        return zoo.Problem(task=case.task, input=source, output=target)
    if case.task == "series-classification":
        length, channels = case.shape
        taken = zoo.SeriesInput(channels=channels, length=length)
    else:
        channels, height, width = case.shape
        taken = zoo.ImageInput(channels=channels, height=height, width=width)
    classes = zoo.Classes(count=case.classes, names=tuple(map(str, range(case.classes))))
    return zoo.Problem(task=case.task, input=taken, output=classes)


def build(case: Case) -> nn.Module:
    """The model as `zoo.train` begins with it: plain, newly initialised from the seed, in training mode."""
    torch.manual_seed(SEED)
    return zoo.load(case.model, problem=problem_of(case), **case.options).train()


def make_tensors(job: Job) -> tuple[Tensor, Tensor]:
    """Inputs and targets of all samples."""
    data = make_data(job.of, job.samples)
    return torch.from_numpy(data.inputs), torch.from_numpy(data.targets)


def loss_of(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy over samples `[B, K]`, or over the tokens of `[B, T, V]`."""
    return F.cross_entropy(logits.flatten(0, -2), targets.flatten())


def make_adamw(model: nn.Module, job: Job) -> torch.optim.AdamW:
    """AdamW that decays matrices alone; `fused` as the job says."""
    parameters = list(model.parameters())
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": WEIGHT_DECAY},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=LR, betas=BETAS, eps=EPSILON, fused=job.fused or None)


def count_parameters(model: nn.Module) -> int:
    """How many numbers are trained."""
    return sum(parameter.numel() for parameter in model.parameters())


@torch.no_grad()
def start_loss(model: nn.Module, job: Job) -> float:
    """The loss on the first batch, without dropout; leaves the model in training mode."""
    inputs, targets = (tensor[: job.of.batch] for tensor in make_tensors(job))
    loss = loss_of(model.eval()(inputs), targets).item()
    model.train()
    return loss


def save_start(case: Case, path: str) -> None:
    """The initial weights, in the module's order, for who cannot draw the same from the seed."""
    np.savez(path, **{name: tensor.numpy() for name, tensor in build(case).state_dict().items()})
