"""Batches in turn, each fetched while the one before is computed with where that saves waiting."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import torch
from torch import Tensor

from zoo.data.splits import Batch, FetchedSplit, PixelSplit, Split


def batches(split: Split, rows: Iterable[Tensor], device: torch.device) -> Iterator[Batch]:
    """The samples of each of `rows` (int64 `[B]`), on `device`, where `split` must be.

    A batch may be overwritten as soon as the next one is asked for.
    """
    if getattr(split, "resident", True):
        for chosen in rows:
            yield split.take(chosen.to(device))
        return
    ahead = cast(FetchedSplit, split)
    finish = _in_place(split, device) if isinstance(split, PixelSplit) else ahead.finish
    for chosen, raw in _ahead(ahead, rows):
        yield finish(raw, chosen)


def _in_place(split: PixelSplit, device: torch.device) -> Callable[[Tensor, Tensor], Batch]:
    """`finish`, each time into the same memory: new memory costs as much as all that is written there."""
    place = torch.empty(0, device=device)

    def finish(raw: Tensor, chosen: Tensor) -> Batch:
        nonlocal place
        if len(place) < len(raw):
            place = torch.empty(raw.shape, device=device)
        return split.finish(raw, chosen, place[: len(raw)])

    return finish


def _ahead(split: FetchedSplit, rows: Iterable[Tensor]) -> Iterator[tuple[Tensor, Any]]:
    """Rows with what was fetched for them; a thread fetches the next."""

    def fetch(chosen: Tensor) -> tuple[Tensor, Any]:
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
