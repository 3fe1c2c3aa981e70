"""Hugging Face's `Trainer`, with what it shows and saves switched off."""

from __future__ import annotations

import tempfile
from typing import Any

import torch
import transformers
from torch import Tensor, nn
from torch.utils.data import Dataset
from transformers import Trainer, TrainerCallback, TrainingArguments

from train_rivals.cases import SEED
from train_rivals.job import Job, Result, Watch
from train_rivals.torch_side import build, count_parameters, loss_of, make_adamw, make_tensors, start_loss


class WithLoss(nn.Module):
    """The model in the form that `Trainer` asks for: inputs and labels by name, the loss first."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """The loss of a batch, and its logits."""
        logits = self.model(inputs)
        return {"loss": loss_of(logits, labels), "logits": logits}


class Samples(Dataset[dict[str, Tensor]]):
    """One sample at a time, by name."""

    def __init__(self, inputs: Tensor, targets: Tensor) -> None:
        self.inputs, self.targets = inputs, targets

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, row: int) -> dict[str, Tensor]:
        return {"inputs": self.inputs[row], "labels": self.targets[row]}


class StepTimes(TrainerCallback):
    """Tells the watch of each step."""

    def __init__(self, watch: Watch, weight: Tensor) -> None:
        self.watch, self.weight = watch, weight

    def on_step_end(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        """A step is over; its loss is not told, so a weight is read."""
        self.watch.step(self.weight.sum().item)


def train(job: Job) -> Result:
    """Samples joined to batches by `Trainer`'s own collator, in the process itself."""
    torch.set_num_threads(job.threads)
    model, watch = build(job.of), Watch(job)
    first = start_loss(model, job)
    optimizer = make_adamw(model, job)
    unchanged = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0)
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            num_train_epochs=1,
            per_device_train_batch_size=job.of.batch,
            max_grad_norm=job.of.clip,
            seed=SEED,
            use_cpu=True,
            dataloader_pin_memory=False,
            remove_unused_columns=False,
            logging_strategy="no",
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
        )
        Trainer(
            model=WithLoss(model),
            args=arguments,
            train_dataset=Samples(*make_tensors(job)),
            callbacks=[StepTimes(watch, next(model.parameters()).detach())],
            optimizers=(optimizer, unchanged),
        ).train()
    return Result(
        seconds=watch.seconds,
        parameters=count_parameters(model),
        start_loss=first,
        version=f"transformers {transformers.__version__}",
    )
