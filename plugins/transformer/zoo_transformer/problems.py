"""What the builders ask of a problem and of their options before they build."""

from __future__ import annotations

from typing import TypeVar

import zoo

Input = TypeVar("Input", zoo.ImageInput, zoo.TokenInput, zoo.SeriesInput)
Output = TypeVar("Output", zoo.Classes, zoo.TokenOutput, zoo.SeriesOutput)


def sides(model: str, problem: zoo.Problem, takes: type[Input], gives: type[Output]) -> tuple[Input, Output]:
    """The problem's input and output; raises `zoo.SpecError` unless they are what `model` takes and gives."""
    if isinstance(problem.input, takes) and isinstance(problem.output, gives):
        return problem.input, problem.output
    asked = f"{type(problem.input).__name__} to {type(problem.output).__name__}"
    raise zoo.SpecError(model, [f"goes from {takes.__name__} to {gives.__name__}, not from {asked}"])


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
