"""Stacks of recurrent layers, one way or both, of any cell."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

import zoo
from zoo_lstm.cells import FUSED, MINIMAL, LockedDropout, one_way, remember, run
from zoo_lstm.lengths import mirror, take_steps
from zoo_lstm.state import State


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How a stack is made.

    `cell` is `rnn`, `lstm`, `gru`, `min_lstm` or `min_gru`; `units` are each layer's, in each direction.
    `dropout` lies between layers, on the same features at every step where it is `variational`;
    `weight_dropout` on the weights from one state to the next. Layers that are `residual` add what they read
    to what they make of it, wherever both are of one size. A `projection` other than 0 is the number of
    features that a direction of a layer hands on. With a `remember` other than 0 new gates keep what they
    hold for up to so many steps (Tallec & Ollivier 2018), where what belongs together is far apart. Raises
    `zoo.SpecError` with all that does not fit.
    """

    model: str
    cell: str
    units: tuple[int, ...]
    dropout: float = 0.0
    variational: bool = False
    weight_dropout: float = 0.0
    residual: bool = False
    projection: int = 0
    bidirectional: bool = False
    remember: int = 0

    def __post_init__(self) -> None:
        if faults := list(self._faults()):
            raise zoo.SpecError(self.model, faults)

    def _faults(self) -> Iterator[str]:
        if self.cell not in (*FUSED, *MINIMAL):
            yield f"cell = {self.cell!r}: no such cell; known: {', '.join((*FUSED, *MINIMAL))}"
        if not self.units or min(self.units) < 1:
            yield f"units of {list(self.units)} in {len(self.units)} layers: at least one of each"
        if self.weight_dropout and self.cell in MINIMAL:
            yield f"weight_dropout = {self.weight_dropout}: {self.cell} has no such weights; leave it out"
        if self.projection < 0:
            yield f"projection = {self.projection}: expected 0, for none, or a number of features"
        if self.remember and self.cell == "rnn":
            yield f"remember = {self.remember}: rnn has no gates; leave it out"
        elif self.remember < 0 or self.remember == 1:
            yield f"remember = {self.remember}: expected 0, for none, or at least 2 steps"

    @property
    def width(self) -> int:
        """Features of each step that the last layer hands on."""
        return (self.projection or self.units[-1]) * (2 if self.bidirectional else 1)

    @property
    def plain(self) -> bool:
        """Whether torch has one kernel for the whole stack."""
        more = self.weight_dropout or self.projection or self.bidirectional
        between = len(self.units) > 1 and (self.variational or self.residual)
        return self.cell in FUSED and not more and not between and len(set(self.units)) == 1


def recurrence(plan: Plan, inputs: int) -> nn.Module:
    """The simplest module that does what is planned, for `read` to use.

    Torch's own where it has a kernel for the whole stack: that is faster, and its tensors bear torch's names.
    """
    if plan.plain:
        layers = len(plan.units)
        between = plan.dropout if layers > 1 else 0.0
        return _started(FUSED[plan.cell](inputs, plan.units[0], layers=layers, dropout=between), plan)
    if len(plan.units) == 1:
        return _layer(plan, inputs, plan.units[0])
    return Stack(plan, inputs)


def read(
    module: nn.Module, sequence: Tensor, *, lengths: Tensor | None = None, state: State = None
) -> tuple[Tensor, State]:
    """The states of all steps of `sequence[B, T, inputs]`, `[B, T, width]`, and the state after the last.

    A module that reads both ways wants to know how many steps are real, `lengths[B]`, and has no state to
    go on from; another one may go on from the `state` that an earlier piece left. Raises `zoo.DataError`
    for no steps, and for a state of another number of sequences.
    """
    if isinstance(module, Stack):
        states, end = module(sequence, lengths, state)
    elif isinstance(module, Bidirectional):
        states, end = module(sequence, lengths), ()
    else:
        states, end = run(module, sequence, state)
    return states, end


def _started(layer: nn.Module, plan: Plan) -> nn.Module:
    if plan.remember:
        remember(layer, plan.remember)
    return layer


def _layer(plan: Plan, inputs: int, units: int) -> nn.Module:
    def one() -> nn.Module:
        layer = one_way(
            plan.cell, inputs, units, weight_dropout=plan.weight_dropout, projection=plan.projection
        )
        return _started(layer, plan)

    return Bidirectional(one(), one()) if plan.bidirectional else one()


class Bidirectional(nn.Module):
    """Two layers over the same sequence, one from each end (Schuster & Paliwal 1997).

    The second begins at the last real step, so that padding on the right changes nothing.
    """

    def __init__(self, ahead: nn.Module, back: nn.Module) -> None:
        super().__init__()
        self.ahead = ahead
        self.back = back

    def forward(self, sequence: Tensor, lengths: Tensor) -> Tensor:
        """`[B, T, inputs]`, of which `lengths[B]` steps are real, to `[B, T, 2 units]`."""
        order = mirror(lengths, sequence.shape[1])  # [B, T]
        ahead, _ = run(self.ahead, sequence)
        back, _ = run(self.back, take_steps(sequence, order))
        return torch.cat([ahead, take_steps(back, order)], dim=2)


class Stack(nn.Module):
    """Layers one on another, by their numbers."""

    def __init__(self, plan: Plan, inputs: int) -> None:
        super().__init__()
        self.residual = plan.residual
        self.between = LockedDropout(plan.dropout) if plan.variational else nn.Dropout(plan.dropout)
        for number, units in enumerate(plan.units):
            self.add_module(str(number), _layer(plan, inputs, units))
            inputs = (plan.projection or units) * (2 if plan.bidirectional else 1)
        self.depth = len(plan.units)

    def forward(
        self, sequence: Tensor, lengths: Tensor | None = None, state: State = None
    ) -> tuple[Tensor, State]:
        """`[B, T, inputs]` to the states of the last layer, `[B, T, width]`, and the state of each layer."""
        ends = []
        for number in range(self.depth):
            given = self.between(sequence) if number else sequence
            first = state[number] if state is not None else None
            layer = self.get_submodule(str(number))
            sequence, end = read(layer, given, lengths=lengths, state=first)
            if self.residual and sequence.shape == given.shape:
                sequence = sequence + given
            ends.append(end)
        return sequence, tuple(ends)
