"""What may be asked of an architecture in the words of timm's constructors, and how faults are told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import zoo

SHARES = ("drop_path_rate", "drop_rate")  # of what is left out at random in training
FEATURES = ("features_only", "out_indices")


def arguments_of(architecture: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options as `timm.create_model` takes them: `drop_path` is its `drop_path_rate`.

    Raises `zoo.SpecError` for shares that are none, and for features that are asked for in a wrong way.
    """
    arguments = dict(options)
    faults = []
    if "drop_path" in arguments:
        if arguments.get("drop_path_rate") is not None:
            faults.append("drop_path and drop_path_rate are the same; give one")
        arguments["drop_path_rate"] = arguments.pop("drop_path")
    for name in SHARES:
        value = arguments.get(name)
        if value is not None and not (_is_number(value) and 0 <= value < 1):
            given = "drop_path" if name not in options else name
            faults.append(f"{given} = {value!r}: expected a share from 0 to less than 1")
    faults += _feature_faults(arguments)
    if faults:
        raise zoo.SpecError(architecture, faults)
    return arguments


def _feature_faults(arguments: Mapping[str, Any]) -> list[str]:
    wanted, indices = (arguments.get(name) for name in FEATURES)
    faults = []
    if wanted is not None and not isinstance(wanted, bool):
        faults.append(f"features_only = {wanted!r}: expected True or False")
    if indices is None:
        return faults
    if not wanted:
        faults.append(f"out_indices = {indices!r}: belongs to feature maps; say features_only=True too")
    if not _are_indices(indices):
        faults.append(
            f"out_indices = {indices!r}: expected numbers of feature maps such as (1, 2, 3), "
            "or how many of the last"
        )
    return faults


def _are_indices(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return bool(value) and all(_is_whole(number) for number in value)
    return _is_whole(value) and value > 0


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
