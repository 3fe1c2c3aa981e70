"""Prepared samples as tensors, taken a batch at a time with no Python per sample."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, Self

import torch
from torch import Tensor

from zoo.errors import DataError

Batch = dict[str, Tensor]


class Split(Protocol):
    """Samples of one split, addressed by row."""

    def __len__(self) -> int:
        """How many samples there are."""
        ...

    def take(self, rows: Tensor) -> Batch:
        """The samples `rows` (int64 `[B]`), stacked column by column."""
        ...

    def to(self, device: torch.device) -> Self:
        """The same samples, kept on `device`."""
        ...


@dataclass(frozen=True)
class TensorSplit:
    """Columns of equal length: `{"images": [N, C, H, W], "labels": [N]}`."""

    columns: Mapping[str, Tensor]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def take(self, rows: Tensor) -> Batch:
        """The rows of every column."""
        return {name: column[rows] for name, column in self.columns.items()}

    def to(self, device: torch.device) -> TensorSplit:
        """The same columns on `device`."""
        return TensorSplit({name: column.to(device) for name, column in self.columns.items()})


@dataclass(frozen=True)
class WindowSplit:
    """Windows `stride` steps apart over one long `stream[T, ...]`, each cut into named parts.

    `parts` gives the parts' lengths in order: `{"history": 96, "future": 24}`.
    """

    stream: Tensor
    parts: Mapping[str, int]
    stride: int

    def __len__(self) -> int:
        return max(0, (len(self.stream) - sum(self.parts.values())) // self.stride + 1)

    def take(self, rows: Tensor) -> Batch:
        """Each part as `[B, length, ...]`; whole numbers come as int64."""
        steps = torch.arange(sum(self.parts.values()), device=self.stream.device)
        windows = self.stream[rows.to(steps.device)[:, None] * self.stride + steps]  # [B, length, ...]
        windows = windows if windows.is_floating_point() else windows.long()
        return dict(zip(self.parts, torch.split(windows, list(self.parts.values()), dim=1), strict=True))

    def to(self, device: torch.device) -> WindowSplit:
        """The same stream on `device`."""
        return replace(self, stream=self.stream.to(device))


def epoch_rows(size: int, *, seed: int, epoch: int) -> Tensor:
    """The order of one epoch, which depends on nothing but `seed` and `epoch`."""
    generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    return torch.randperm(size, generator=generator)


def balanced_rows(split: Split, *, seed: int, epoch: int) -> Tensor:
    """The rows of one epoch drawn with replacement, each class as likely as the others.

    Raises `DataError` where the samples have no classes.
    """
    labels = getattr(split, "columns", {}).get("labels")
    if labels is None:
        raise DataError("the recipe's balanced = true needs samples with classes; leave it out")
    labels = labels.cpu()
    weights = 1.0 / torch.bincount(labels)[labels].double()  # [N]
    generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    return torch.multinomial(weights, len(split), replacement=True, generator=generator)


def in_order(split: Split, batch_size: int) -> Iterator[Batch]:
    """Every sample once, in order; the last batch may be smaller."""
    for rows in torch.split(torch.arange(len(split)), batch_size):
        yield split.take(rows)


def batched(items: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    """Runs of at most `size` items."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
