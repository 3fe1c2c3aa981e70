"""Metrics in which each class counts the same, however many samples it has."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchmetrics.functional.classification import multiclass_accuracy, multiclass_f1_score


def macro_metrics(predicted: Tensor, true: Tensor) -> dict[str, float]:
    """`macro_f1` and `balanced_accuracy` (the mean recall) of class numbers `[N]`, over the classes met."""
    classes = int(torch.maximum(predicted.max(), true.max())) + 1
    how: dict[str, Any] = {"num_classes": max(2, classes), "average": "macro", "validate_args": False}
    return {
        "macro_f1": float(multiclass_f1_score(predicted, true, **how)),
        "balanced_accuracy": float(multiclass_accuracy(predicted, true, **how)),
    }
