"""What a causal stack has read of a text, so that a token costs the same however long it has become."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

import zoo
from zoo_transformer.tokens import PADDING, places_of

Keys = tuple[Tensor, Tensor]  # keys and values, [B, M, S, D / N] of M heads each
ROOM = 16  # tokens for which there is room at first where no limit is known


class Past:
    """The keys and values that one block's attention has read, in memory that is made once for `limit`."""

    def __init__(self, limit: int | None = None) -> None:
        self.limit, self.size = limit, 0
        self._kept: Tensor | None = None  # [2, B, M, room, D / N]

    def join(self, key: Tensor, value: Tensor) -> Keys:
        """All up to the new ones `[B, M, T, D / N]`, in order."""
        end = self.size + key.shape[2]
        if self._kept is None or self._kept.shape[3] < end:
            self._grow(key, self.limit or max(ROOM, 2 * end))
        assert self._kept is not None
        self._kept[0, :, :, self.size : end], self._kept[1, :, :, self.size : end] = key, value
        self.size = end
        return self._kept[0, :, :, :end], self._kept[1, :, :, :end]

    def choose(self, rows: Tensor) -> Past:
        """That of some rows of the batch, `[N]`, in any order."""
        chosen = Past(self.limit)
        if self._kept is not None:
            chosen._kept, chosen.size = self._kept[:, rows], self.size
        return chosen

    def _grow(self, like: Tensor, room: int) -> None:
        before = self._kept
        self._kept = like.new_empty(2, *like.shape[:2], room, like.shape[3])
        if before is not None:
            self._kept[:, :, :, : self.size] = before[:, :, :, : self.size]


class State:
    """What `depth` blocks have read: of the text so far, and of the `memory` that they look up, if any.

    `limit` is how many tokens it holds, None for any number. `memory` has for each block the keys and values
    of the source, of which `memory_keep[B, S]` may be seen.
    """

    def __init__(
        self,
        depth: int,
        *,
        limit: int | None = None,
        memory: Sequence[Keys] = (),
        memory_keep: Tensor | None = None,
    ) -> None:
        self.limit = limit
        self.past = [Past(limit) for _ in range(depth)]
        self.memory, self.memory_keep = memory, memory_keep
        self._rows = memory[0][0].shape[0] if memory else None
        self._real: Tensor | None = None  # [B, size]; None where none was padding at first

    @property
    def size(self) -> int:
        """How many tokens were read."""
        return self.past[0].size

    def take(self, tokens: Tensor) -> tuple[Tensor, Tensor | None]:
        """Where each of the next `tokens[B, T]` is, `[T]` or `[B, T]`, and which of all so far are real.

        That is `[B, S]`, or None for all of them; padding before a text does not count. Raises
        `zoo.DataError` where they are too many, or of another number of texts.
        """
        self._check(tokens)
        real = tokens != PADDING
        if self.size == 0:
            self._rows = tokens.shape[0]
            self._real = None if bool(real.all()) else real
        elif self._real is not None:
            self._real = torch.cat([self._real, real], dim=1)
        if self._real is None:
            return torch.arange(self.size, self.size + tokens.shape[1], device=tokens.device), None
        return places_of(self._real)[:, self.size :], self._real

    def choose(self, rows: Tensor) -> State:
        """That of some rows of the batch, `[N]`: in any order, left out or repeated."""
        keep = None if self.memory_keep is None else self.memory_keep[rows]
        memory = [(key[rows], value[rows]) for key, value in self.memory]
        chosen = State(len(self.past), limit=self.limit, memory=memory, memory_keep=keep)
        chosen.past = [past.choose(rows) for past in self.past]
        chosen._rows = len(rows)
        chosen._real = None if self._real is None else self._real[rows]
        return chosen

    def _check(self, tokens: Tensor) -> None:
        count, new = tokens.shape
        if self._rows not in (None, count):
            raise zoo.DataError(
                f"a state of {self._rows} texts for a batch of {count}; "
                "go on with the texts that it is of, or begin with none"
            )
        if self.limit is not None and self.size + new > self.limit:
            raise zoo.DataError(
                f"{self.size + new:,} tokens for a state that holds {self.limit:,}; "
                "begin with none and the last of them"
            )
