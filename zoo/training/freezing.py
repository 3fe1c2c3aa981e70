"""Training the head alone at first, so that what the rest has learned elsewhere is not lost to a new head."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from zoo.errors import SpecError


class HeadFirst:
    """For its first `steps` steps a module trains the parameters of its head only.

    The rest gives no gradients meanwhile and stays as it is in evaluation: its batch norms keep their
    statistics. With as many steps as the whole training has, that is a linear probe.
    """

    def __init__(self, module: nn.Module, head: Sequence[str], steps: int) -> None:
        self._module, self._steps, self._head = module, steps, head
        self._frozen = False
        self._trainable = [
            parameter
            for name, parameter in module.named_parameters()
            if parameter.requires_grad and not is_of_head(name, head)
        ]

    def enter(self, step: int) -> None:
        """Prepares the module for the step after `step` steps, in training mode."""
        frozen = step < self._steps
        if not frozen and not self._frozen and self._module.training:
            return
        if frozen != self._frozen:
            for parameter in self._trainable:
                parameter.requires_grad_(not frozen)
        self._frozen = frozen
        self._module.train()
        if frozen:
            for name, part in self._module.named_modules():
                if not is_of_head(name, self._head):
                    part.training = False


def is_of_head(name: str, head: Sequence[str]) -> bool:
    """Whether a module or parameter lies under one of the prefixes."""
    return any(f"{name}.".startswith(f"{prefix.rstrip('.')}.") for prefix in head)


def check_head(module: nn.Module, head: Sequence[str], model: str) -> None:
    """Raises `SpecError` where nothing of the module lies under the prefixes."""
    if not any(is_of_head(name, head) for name, _ in module.named_parameters()):
        raise SpecError(
            f"recipe of {model}", ["head_epochs: the model declares no head; leave the setting out"]
        )
