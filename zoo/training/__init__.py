"""The shared trainer: one loop for every model of every plugin."""

from zoo.training.callbacks import Callback
from zoo.training.loop import Step, train_steps

__all__ = ["Callback", "Step", "train_steps"]
