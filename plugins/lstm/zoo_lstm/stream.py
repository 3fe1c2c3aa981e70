"""A long text learnt from piece by piece, each read on from where the one before it ended."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

import zoo
from zoo_lstm.state import State, map_state


def read_on(model: zoo.Stepper, stream: Tensor, *, rows: int, length: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Logits `[rows, T, V]` and targets `[rows, T]` of each piece of `stream[N]`, T at most `length`.

    The stream is cut into `rows` parts of one length, read side by side; up to `rows - 1` tokens at its end
    are left over. A piece starts from the state in which the one before it ended, but its gradients end where
    it begins: truncated backpropagation through time (Williams & Peng 1990). The model may be changed between
    two pieces. Raises `zoo.DataError` for a stream that has no two tokens for each row, and for no rows or
    pieces of no length.
    """
    if rows < 1 or length < 1:
        raise zoo.DataError(f"{rows} rows in pieces of {length} tokens; give at least one of each")
    size = stream.shape[0] // rows
    if size < 2:
        raise zoo.DataError(
            f"{stream.shape[0]} tokens for {rows} rows, which need 2 each; take fewer rows or a longer text"
        )
    parts = stream[: size * rows].view(rows, size)
    state: State = model.start()
    for start in range(0, size - 1, length):
        piece = parts[:, start : start + length + 1]
        logits, state = model.step(piece[:, :-1], state)
        yield logits, piece[:, 1:]
        state = map_state(Tensor.detach, state)
