"""Lightning's `Trainer`, with what it shows and saves switched off."""

from __future__ import annotations

from typing import Any

import lightning
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from train_rivals.job import Job, Result, Watch
from train_rivals.torch_side import build, count_parameters, loss_of, make_adamw, make_tensors, start_loss


class Training(lightning.LightningModule):
    """The model with its loss and its optimizer."""

    def __init__(self, model: nn.Module, job: Job) -> None:
        super().__init__()
        self.model, self.job = model, job

    def training_step(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        """The loss of a batch."""
        inputs, targets = batch
        return loss_of(self.model(inputs), targets)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """The optimizer that all have."""
        return make_adamw(self.model, self.job)


class StepTimes(lightning.Callback):
    """Tells the watch of each step."""

    def __init__(self, watch: Watch) -> None:
        self.watch = watch

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, index: int) -> None:
        """A step is over."""
        self.watch.step(outputs["loss"].item)


def train(job: Job) -> Result:
    """A `DataLoader` over tensors, shuffled, in the process itself."""
    torch.set_num_threads(job.threads)
    model, watch = build(job.of), Watch(job)
    first = start_loss(model, job)
    trainer = lightning.Trainer(
        max_epochs=1,
        accelerator="cpu",
        gradient_clip_val=job.of.clip or None,
        callbacks=[StepTimes(watch)],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    loader = DataLoader(TensorDataset(*make_tensors(job)), batch_size=job.of.batch, shuffle=True)
    trainer.fit(Training(model, job), loader)
    return Result(
        seconds=watch.seconds,
        parameters=count_parameters(model),
        start_loss=first,
        version=f"lightning {lightning.__version__}",
    )
