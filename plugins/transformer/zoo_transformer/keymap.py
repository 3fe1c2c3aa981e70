"""Tensors under others' names and under ours, by the rules in `keys.toml`, both ways."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files
from typing import NamedTuple

import msgspec
import torch
from torch import Tensor


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Modules of theirs that together are modules of ours; see the head of `keys.toml`."""

    theirs: tuple[str, ...]
    ours: tuple[str, ...]
    shares: tuple[int, ...] = ()
    transposed: bool = False
    outside: bool = False
    optional: bool = False


class KeyMap(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All rules for one of their models."""

    prefix: str
    rules: tuple[Rule, ...]
    unused: tuple[str, ...] = ()
    leaves: dict[str, str] = {}


@cache
def read_key_maps() -> dict[str, KeyMap]:
    """The key maps of this package, by the `model_type` of theirs."""
    content = files(__package__).joinpath("keys.toml").read_bytes()
    return msgspec.toml.decode(content, type=dict[str, KeyMap])


class Place(NamedTuple):
    """Where a tensor is: its module with `*` for the block's number, that number, and the last name."""

    module: str
    number: str
    leaf: str

    @property
    def name(self) -> str:
        """As it is called in a state dict."""
        return f"{self.module.replace('*', self.number)}.{self.leaf}"


def place_of(name: str) -> Place:
    """The place that a name in a state dict means."""
    module, _, leaf = name.rpartition(".")
    number = re.search(r"(?<=\.)\d+(?=\.)", f".{module}.")
    if number is None:
        return Place(module, "", leaf)
    start = number.start() - 1
    return Place(f"{module[:start]}*{module[start + len(number[0]) :]}", number[0], leaf)


# -- from theirs to ours ----------------------------------------------------------------------


def to_ours(keys: KeyMap, tensors: dict[str, Tensor], wanted: Mapping[str, Tensor]) -> dict[str, str]:
    """Gives `tensors` our names in place; returns what was done to which, beyond the name.

    Those that are taken out, because `wanted` has no place for them and need not, are among them under
    their own names. What no rule knows stays as it is.
    """
    told: dict[str, str] = {}
    places = {_their_place(keys, name): name for name in tensors}
    for rule in keys.rules:
        for numbered in sorted({place[1:] for place in places if place.module == rule.theirs[0]}):
            given = [Place(module, *numbered) for module in rule.theirs]
            if not all(place in places for place in given):
                continue
            ours = [Place(module, *numbered).name for module in rule.ours]
            names = [places.pop(place) for place in given]
            pieces = [_turned(tensors.pop(name), rule) for name in names]
            if rule.optional and not any(name in wanted for name in ours):
                told |= dict.fromkeys(names, "the model as it is asked for has no such layer")
                continue
            tensors |= zip(ours, _resplit(pieces, rule.shares or [1] * len(ours)), strict=True)
            told |= dict.fromkeys(ours, how) if (how := _how(rule, pieces[0])) else {}
    for place, name in places.items():
        if name not in wanted and any(fnmatchcase(place.name, pattern) for pattern in keys.unused):
            del tensors[name]
            told[name] = "of another head, or computed"
    return told


def matches(keys: KeyMap, names: Sequence[str]) -> int:
    """How many of the names, in their layout, a rule knows."""
    known = {module for rule in keys.rules for module in rule.theirs}
    return sum(_their_place(keys, name).module in known for name in names)


def _their_place(keys: KeyMap, name: str) -> Place:
    place = place_of(name.removeprefix(keys.prefix))
    return place._replace(leaf=keys.leaves.get(place.leaf, place.leaf))


def _how(rule: Rule, piece: Tensor) -> str:
    done = [
        word
        for word, is_done in {
            "transposed": rule.transposed and piece.dim() == 2,
            "joined": len(rule.theirs) > 1,
            "split": len(rule.ours) > 1,
        }.items()
        if is_done
    ]
    return " and ".join(done)


# -- from ours to theirs ----------------------------------------------------------------------


def to_theirs(keys: KeyMap, tensors: Mapping[str, Tensor], *, bare: bool) -> dict[str, Tensor]:
    """Tensors under their names; `bare` without the prefix, as they write an encoder without a head."""
    places = {place_of(name): tensor for name, tensor in tensors.items()}
    return dict(_theirs(keys, places, "" if bare else keys.prefix))


def _theirs(keys: KeyMap, places: dict[Place, Tensor], prefix: str) -> Iterator[tuple[str, Tensor]]:
    for rule in keys.rules:
        for numbered in sorted({place[1:] for place in places if place.module == rule.ours[0]}):
            pieces = [places[Place(module, *numbered)] for module in rule.ours]
            parts = _resplit(pieces, [1] * len(rule.theirs))
            for module, part in zip(rule.theirs, parts, strict=True):
                name = Place(module, *numbered).name
                yield ("" if rule.outside else prefix) + name, _turned(part, rule).contiguous()


def _turned(tensor: Tensor, rule: Rule) -> Tensor:
    return tensor.t() if rule.transposed and tensor.dim() == 2 else tensor


def _resplit(pieces: Sequence[Tensor], shares: Sequence[int]) -> list[Tensor]:
    """The pieces as one, split by `shares` along the first dimension; none shares memory with another."""
    whole = torch.cat(list(pieces)) if len(pieces) > 1 else pieces[0]
    if len(shares) == 1:
        return [whole.contiguous()]
    unit = whole.shape[0] // sum(shares)
    parts = torch.split(whole, [unit * share for share in shares])
    return [part.clone(memory_format=torch.contiguous_format) for part in parts]
