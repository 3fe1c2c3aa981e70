"""Weights as others lay them out: what their files say of a model, and their tensors under its names.

A model that names a `Layout` loads files that the zoo did not write, such as those that another library
published: `zoo.load("mine/net", weights="file:FOLDER")`, or a `WeightsSpec` that says no more than where
they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol


class Layout(Protocol):
    """How one kind of files is read and written."""

    def describe(
        self, shapes: Mapping[str, tuple[int, ...]], read: Callable[[str], bytes | None]
    ) -> Mapping[str, Any]:
        """What the files say of themselves, as fields of a `WeightsSpec`.

        Such as `problem`, `preprocess`, `labels`, and the builder's options as `receipt["options"]`.
        `shapes` are the tensors' by their names in the file; `read` gives the content of a file beside it,
        None where there is none. Raises `WeightsError` for what the model cannot be built for.
        """
        ...

    def read(self, tensors: dict[str, Any], module: Any) -> Mapping[str, str]:
        """Gives the tensors the module's own names, and shapes; returns what was done to which.

        It changes the dict of tensors by name, and takes those out that have no place in the module, which
        it returns too, with the reason. It is called first with tensors on the meta device, made of the
        header alone. Of what it leaves as it was, an unknown name is told as every other is.
        """
        ...

    def write(self, module: Any) -> tuple[Mapping[str, Any], Mapping[str, bytes]]:
        """The tensors by their names, and the files beside them, for a module that `zoo.load` gave.

        `zoo export --format huggingface` puts them into one folder, the tensors as `model.safetensors`; a
        file's name may lead through folders in it. `describe` and `read` must know what was written. Raises
        `WeightsError` for a module that the layout has no way to write.
        """
        ...
