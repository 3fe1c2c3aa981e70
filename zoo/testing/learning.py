"""Checks of whether a model learns."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.modules.dropout import _DropoutNd

from zoo.data.splits import Batch
from zoo.specs import Problem, Recipe
from zoo.tasks.base import Task
from zoo.testing.check import ConformanceError
from zoo.testing.subject import BATCH, Subject

RATES = (1e-4, 1e-3, 1e-2)  # the first at which it is learnt is enough; large models learn at small ones
STEPS = 80
LEFT = 0.3  # of the first loss: what may be left of it


def check_gradients(subject: Subject) -> None:
    """Every parameter that wants a gradient gets one, and all of them are finite."""
    for problem in subject.small():
        module = subject.stirred(problem)
        torch.manual_seed(2)
        for training, seed in ((False, 0), (False, 1), (True, 2), (True, 3)):  # some act in training alone
            output = subject.run(module.train(training), problem, subject.inputs(problem, 4, seed=seed))
            if not output.requires_grad:
                raise ConformanceError(
                    f"{subject.at(problem)}: the output has no gradient; let the forward not detach, nor act "
                    "under torch.no_grad"
                )
            torch.autograd.backward((output * torch.randn_like(output)).sum())
            wanted = {name: part for name, part in module.named_parameters() if part.requires_grad}
            bad = [name for name, part in wanted.items() if part.grad is not None and not _finite(part.grad)]
            if bad:
                raise ConformanceError(f"{subject.at(problem)}: the gradient of {bad[0]} is not finite")
            missed = [name for name, part in wanted.items() if part.grad is None or not part.grad.any()]
            if not missed:
                break
        if missed:
            names = ", ".join(missed[:3]) + (f" and {len(missed) - 3} more" if len(missed) > 3 else "")
            raise ConformanceError(
                f"{subject.at(problem)}: no gradient reaches {names}; "
                f"use them in the forward, or leave them out"
            )


def check_overfit(subject: Subject) -> None:
    """A batch of a few samples is learnt by heart, by the task's own loss."""
    for problem in subject.small():
        task = subject.task(problem)
        recipe = Recipe()
        prepared = subject.prepared(subject.dataset(problem, recipe), recipe)
        batch = prepared.splits["train"].take(torch.arange(BATCH))
        reached: list[tuple[float, float]] = []
        for rate in RATES:
            first, last = _losses(subject, task, prepared.problem, batch, rate)
            if last <= LEFT * first:
                break
            reached.append((first, last))
        else:
            first, last = min(reached, key=lambda losses: losses[1] / max(losses[0], 1e-12))
            raise ConformanceError(
                f"{subject.at(prepared.problem)}: {STEPS} steps of AdamW at learning rates of "
                f"{' and '.join(map(str, RATES))} lower the loss on {BATCH} samples from {first:.3g} to no "
                f"less than {last:.3g}; is the input used, and nothing detached or saturated?"
            )


def _losses(subject: Subject, task: Task, problem: Problem, batch: Batch, rate: float) -> tuple[float, float]:
    """The loss before a training on one batch, and the lowest one in it."""
    module = subject.build(problem).train()
    for part in module.modules():
        if isinstance(part, _DropoutNd):  # learning by heart is what it prevents
            part.eval()
    optimizer = torch.optim.AdamW(module.parameters(), lr=rate, weight_decay=0.0)
    losses: list[float] = []
    while len(losses) < STEPS and (not losses or losses[-1] > LEFT * losses[0]):
        loss = task.loss(subject.run(module, problem, task.inputs(batch)), batch, Recipe())
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses[0], min(losses)


def _finite(tensor: torch.Tensor) -> bool:
    return bool(tensor.isfinite().all())
