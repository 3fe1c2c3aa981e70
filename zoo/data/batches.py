"""Batches in turn, each fetched while the one before is computed with where that saves waiting."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

from zoo.data.splits import Batch, PixelSplit, Split


def batches(split: Split, rows: Iterable[Tensor], device: torch.device) -> Iterator[Batch]:
    """The samples of each of `rows` (int64 `[B]`), on `device`, where `split` must be.

    A batch may be overwritten as soon as the next one is asked for.
    """
    if not isinstance(split, PixelSplit) or split.resident:
        for chosen in rows:
            yield split.take(chosen.to(device))
        return
    place = None
    for chosen, raw in _ahead(split, rows):
        if place is None or len(place) < len(raw):  # new memory costs as much as all that is written there
            place = torch.empty(raw.shape, device=device)
        yield split.finish(raw, chosen, place[: len(raw)])


def _ahead(split: PixelSplit, rows: Iterable[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
    """Rows with their bytes, of which a thread fetches the next."""

    def fetch(chosen: Tensor) -> tuple[Tensor, Tensor]:
        return chosen, split.fetch(chosen)

    with ThreadPoolExecutor(1) as pool:
        waiting = None
        for chosen in rows:
            following = pool.submit(fetch, chosen)
            if waiting is not None:
                yield waiting.result()
            waiting = following
        if waiting is not None:
            yield waiting.result()
