"""The repeated parts of a network: what is sharded, and computed twice to save memory, one at a time."""

from __future__ import annotations

import functools
from collections.abc import Iterator

from torch import nn
from torch.utils.checkpoint import checkpoint


def blocks(module: nn.Module) -> list[nn.Module]:
    """The members of the outermost lists and chains of modules that have parameters, in order."""
    return list(_blocks(module))


def _blocks(module: nn.Module) -> Iterator[nn.Module]:
    for child in module.children():
        if isinstance(child, nn.ModuleList | nn.Sequential):
            for member in child:
                if isinstance(member, nn.ModuleList | nn.Sequential):
                    yield from _blocks(nn.ModuleList([member]))
                elif any(True for _ in member.parameters()):
                    yield member
        else:
            yield from _blocks(child)


def checkpoint_blocks(module: nn.Module) -> int:
    """Makes each block keep its input alone for the backward pass, and compute itself anew then.

    Less memory for a third more computation (Chen 2016). Gives how many blocks there are.
    """
    found = blocks(module)
    for block in found:
        block.forward = functools.partial(checkpoint, block.forward, use_reentrant=False)
    return len(found)
