"""What the builders ask of a problem and of their options before they build."""

from __future__ import annotations

from collections.abc import Iterable

import zoo


def unknown_names(**chosen: tuple[str, Iterable[str]]) -> list[str]:
    """What is at fault with options that must each be one of the known names."""
    return [
        f"{option} = {name!r}: not known; known: {', '.join(known)}"
        for option, (name, known) in chosen.items()
        if name not in known
    ]


def check_names(model: str, **chosen: tuple[str, Iterable[str]]) -> None:
    """Raises `zoo.SpecError` with all that `unknown_names` says."""
    if faults := unknown_names(**chosen):
        raise zoo.SpecError(model, faults)


def check_same(model: str, what: str, into: int, out: int) -> None:
    """Raises `zoo.SpecError` where a count of the input must be that of the output and is not."""
    if into != out:
        raise zoo.SpecError(model, [f"{what}: {into} in and {out} out; it must be the same number"])


def check_heads(model: str, dim: int, heads: int, axes: int = 1) -> None:
    """Raises `zoo.SpecError` where `dim` does not divide into heads of a pair of numbers for each axis."""
    if dim % (2 * axes * heads):
        raise zoo.SpecError(model, [f"dim = {dim}: no multiple of {2 * axes} x heads = {2 * axes * heads}"])


def check_patch(model: str, length: int, patch: int, stride: int) -> None:
    """Raises `zoo.SpecError` for a series shorter than one patch, or patches with steps between them."""
    if length < patch:
        raise zoo.SpecError(model, [f"patch = {patch}: longer than the series, which has {length} steps"])
    if not 1 <= stride <= patch:
        raise zoo.SpecError(model, [f"stride = {stride}: not from 1 to patch = {patch}"])
