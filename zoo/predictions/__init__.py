"""What a model says to many items, one batch after another: no more of them are in memory at a time."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch

from zoo.data.items import Item
from zoo.data.splits import Batch
from zoo.data.tokens import Cut
from zoo.errors import DataError
from zoo.specs import Preprocess, TextPreprocess, Vector
from zoo.tasks.base import Task
from zoo.tasks.embedding import POOL, Embedding
from zoo.tasks.text import cut_of, tell_cut


@dataclass(frozen=True)
class Prediction:
    """An item with the model's record of it, or with the error why it could not be read."""

    item: Item
    record: dict[str, Any] | None = None
    error: DataError | None = None

    def checked(self) -> dict[str, Any]:
        """The record; raises the error where there is one."""
        if self.error is not None:
            raise self.error
        return self.record or {}


class Faults:
    """Items that could not be read: passed over and told of; `sound` and `failed` count."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._first: DataError | None = None
        self.sound = self.failed = 0

    def sift(self, found: Iterable[Prediction]) -> Iterator[Prediction]:
        """Those with a record; the error of an only item is left to `check`."""
        for each in found:
            if self._first is not None and self.sound + self.failed == 1:
                self._tell(str(self._first))
            if each.error is None:
                self.sound += 1
                yield each
                continue
            self.failed += 1
            self._first = self._first or each.error
            if self.sound + self.failed > 1:
                self._tell(str(each.error))

    def check(self) -> None:
        """Raises `DataError` where there were any."""
        if self._first is not None and self.sound + self.failed == 1:
            raise self._first
        if self.failed:
            done = "; the others are done" if self.sound else ""
            raise DataError(f"{self.failed:,} of {self.sound + self.failed:,} items cannot be read{done}")


def predict_each(
    module: Any,
    task: Task,
    items: Iterable[Item],
    *,
    batch_size: int,
    warn: Callable[[str], None] | None = None,
    **options: Any,
) -> Iterator[Prediction]:
    """A prediction for every item, in order, as they are asked for; `options` are the task's.

    `module` is one that `zoo.load` gave. A model whose problem gives a `Vector` answers with an embedding.
    `warn` gets a line at the end where texts were longer than the model can see.
    """
    card, size = module.zoo, batch_size
    reader: Any = task
    if isinstance(card.problem.output, Vector):
        reader = Embedding(task=task, batch_size=batch_size)
        size *= POOL if isinstance(card.preprocess, TextPreprocess) else 1
    device, cut = next(module.parameters(), torch.empty(0)).device, Cut()
    waiting = iter(items)
    while chunk := list(itertools.islice(waiting, size)):
        if warn and _is_cut(card):
            cut += cut_of([str(item.content) for item in chunk], card.preprocess)
        for asked, batch in _read(reader, chunk, card.preprocess, batch_size):
            if isinstance(batch, DataError):
                yield from (Prediction(item, error=batch) for item in asked)
                continue
            with torch.inference_mode():
                placed = {name: column.to(device) for name, column in batch.items()}
                records = reader.predict(
                    module, placed, labels=card.labels, preprocess=card.preprocess, **options
                )
            yield from (Prediction(item, record) for item, record in zip(asked, records, strict=True))
    if warn and cut.texts:
        for line in tell_cut(cut, card.preprocess):
            warn(line)


def _is_cut(card: Any) -> bool:
    """Whether what is too long for the model is left out: a language model reads on at the end."""
    return isinstance(card.preprocess, TextPreprocess) and card.problem.task != "language-modeling"


def _read(
    task: Task, items: Sequence[Item], preprocess: Preprocess, batch_size: int
) -> Iterator[tuple[Sequence[Item], Batch | DataError]]:
    """Batches with the items they were made of; items that cannot be read are parted from the others."""
    try:
        for item in items:
            if item.fault:
                raise DataError(item.fault)
        contents = cast(Sequence[str], [item.content for item in items])  # bytes are for images alone
        batches = list(task.read(contents, preprocess, batch_size))
    except DataError as error:
        if len(items) == 1:
            yield items, error
            return
        middle = len(items) // 2
        yield from _read(task, items[:middle], preprocess, batch_size)
        yield from _read(task, items[middle:], preprocess, batch_size)
        return
    start = 0
    for batch in batches:
        stop = start + len(next(iter(batch.values())))
        yield items[start:stop], batch
        start = stop
