"""What layers carry from one piece of a sequence to the next: tensors `[layers, B, units]`, nested."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

import zoo

State = Any  # a tensor or a tuple of states: torch's own for one layer, one of each layer for a stack


def map_state(function: Callable[[Tensor], Tensor], state: State) -> State:
    """The state with every tensor changed by a function, such as `Tensor.detach` or a choice of rows."""
    if isinstance(state, Tensor):
        return function(state)
    return tuple(map_state(function, part) for part in state)


def rows_of(state: State, rows: Tensor) -> State:
    """The state of some rows of the batch, `[N]`: in any order, left out or repeated."""
    return map_state(lambda part: part[:, rows], state)


def check_state(state: State, batch: int) -> None:
    """Raises `zoo.DataError` where a state is of another number of sequences."""
    while not isinstance(state, Tensor):
        state = state[0]
    if state.shape[1] != batch:
        raise zoo.DataError(
            f"a state of {state.shape[1]} sequences for a batch of {batch}; "
            "go on with the sequences that it was carried from, or begin with none"
        )
