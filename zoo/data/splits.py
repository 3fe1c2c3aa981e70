"""Prepared samples as tensors, taken a batch at a time with no Python per sample."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, Self

import torch
from torch import Tensor

from zoo.data.frames import Frames
from zoo.data.memory import fetch_rows
from zoo.errors import DataError

Batch = dict[str, Tensor]
CACHED = 1 << 20  # numbers of a batch that a CPU keeps at hand while it calculates with them


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


class FetchedSplit(Split, Protocol):
    """Samples that are not all on the device, so that it pays to fetch a batch ahead of its turn."""

    @property
    def resident(self) -> bool:
        """Whether they are on the device after all, so that a batch is there at once."""
        ...

    def fetch(self, rows: Tensor) -> Any:
        """What makes up the samples `rows`, on its way to the device."""
        ...

    def finish(self, raw: Any, rows: Tensor) -> Batch:
        """The batch of the samples that were fetched."""
        ...


@dataclass(frozen=True)
class TensorSplit:
    """Columns of equal length: `{"images": [N, C, H, W], "labels": [N]}`."""

    columns: Mapping[str, Tensor]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def take(self, rows: Tensor) -> Batch:
        """The rows of every column."""
        return {name: column.index_select(0, rows) for name, column in self.columns.items()}

    def to(self, device: torch.device) -> TensorSplit:
        """The same columns on `device`."""
        return TensorSplit({name: column.to(device) for name, column in self.columns.items()})


@dataclass(frozen=True, kw_only=True)
class PixelSplit:
    """Images as bytes, each batch of which becomes `(pixel / 255 - mean) / std` where the model is.

    `mean` and `std` are `[C, 1, 1]`. The frames' pixels go to the device too where it has room for them, and
    stay in memory or in their file where it has not.
    """

    frames: Frames
    mean: Tensor
    std: Tensor
    columns: Mapping[str, Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.frames.rows)

    @property
    def resident(self) -> bool:
        """Whether the pixels are in the device's own memory, so that a batch is there at once."""
        return self.frames.pixels.device == self.mean.device and not self.frames.mapped

    def take(self, rows: Tensor) -> Batch:
        """`images` as float32 `[B, C, H, W]`, and the rows of every other column."""
        return self.finish(self.fetch(rows), rows)

    def fetch(self, rows: Tensor) -> Tensor:
        """The bytes of the samples, uint8 `[B, C, H, W]`; from a CPU to a GPU they may still be under way."""
        pixels, device = self.frames.pixels, self.mean.device
        chosen = self.frames.rows[rows.to(pixels.device)]
        return fetch_rows(pixels, chosen, device)

    def finish(self, raw: Tensor, rows: Tensor, out: Tensor | None = None) -> Batch:
        """The batch of the samples that were fetched, its images in `out` where that is given."""
        out = torch.empty(raw.shape, device=raw.device) if out is None else out
        size = max(1, CACHED // max(1, raw[0].numel())) if out.device.type == "cpu" else len(raw)
        for part, place in zip(torch.split(raw, size), torch.split(out, size), strict=True):
            place.copy_(part).div_(255.0).sub_(self.mean).div_(self.std)
        columns = {name: column[rows.to(column.device)] for name, column in self.columns.items()}
        return {"images": out, **columns}

    def to(self, device: torch.device) -> PixelSplit:
        """The same images, for a model on `device`."""
        columns = {name: column.to(device) for name, column in self.columns.items()}
        frames = self.frames.to(device)
        return PixelSplit(frames=frames, mean=self.mean.to(device), std=self.std.to(device), columns=columns)


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
