"""Where a training went wrong: the step, and the layer or parameter whose numbers came to an end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

EXPLODED = 1e3  # times the loss that a training began with


def first_bad_step(losses: Tensor, begun: float | None) -> int | None:
    """The index of the first of the losses that is no number or has exploded; None where all are well.

    `begun` is the mean loss that the training began with.
    """
    bad = ~torch.isfinite(losses)
    if begun is not None and begun > 0:
        bad |= losses > EXPLODED * begun
    return int(bad.nonzero()[0]) if bool(bad.any()) else None


@dataclass
class Watch:
    """The first module whose output, or parameter whose gradient, was not finite while it was watched."""

    found: str = ""

    @contextmanager
    def over(self, module: nn.Module) -> Iterator[Watch]:
        """Looks at every forward pass and every gradient of the module; slow, and only for finding out."""
        handles = [
            part.register_forward_hook(self._looker(name or "the model"))
            for name, part in module.named_modules()
        ]
        handles += [
            parameter.register_hook(self._gradient_looker(name))  # type: ignore[no-untyped-call]
            for name, parameter in module.named_parameters()
            if parameter.requires_grad
        ]
        try:
            yield self
        finally:
            for handle in handles:
                handle.remove()

    def _looker(self, name: str) -> Any:
        def look(module: nn.Module, inputs: Any, output: Any) -> None:
            if not self.found and isinstance(output, Tensor) and not bool(torch.isfinite(output).all()):
                self.found = f"in the output of {name} ({type(module).__name__})"

        return look

    def _gradient_looker(self, name: str) -> Any:
        def look(gradient: Tensor) -> None:
            if not self.found and not bool(torch.isfinite(gradient).all()):
                self.found = f"in the gradient of {name}"

        return look
