"""Packages that only some commands need, and the extra of torch-zoo that brings them."""

from __future__ import annotations

from importlib.util import find_spec

from zoo.errors import ZooError

EXTRAS = {
    "export": ("onnx", "onnxscript", "onnxruntime"),
    "int8": ("torchao",),
    "explain": ("captum",),
}


def need(extra: str, purpose: str) -> None:
    """Raises `ZooError` with the command to run where a package of that extra is not installed."""
    missing = [name for name in EXTRAS[extra] if find_spec(name) is None]
    if missing:
        raise ZooError(
            f"{purpose} needs {', '.join(missing)}, not installed here; pip install 'torch-zoo[{extra}]'"
        )
