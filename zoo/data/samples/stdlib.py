"""Python's own standard library, as text to model."""

from __future__ import annotations

import hashlib
import os
import sysconfig
from pathlib import Path

from zoo.data.dataset import SPLITS, Dataset
from zoo.errors import DataError
from zoo.specs import Problem, TokenInput, TokenOutput

LENGTH = 256  # bytes
LEFT_OUT = frozenset(
    {
        *("test", "tests", "idle_test", "site-packages", "dist-packages", "__pycache__"),
        *("idlelib", "lib2to3", "turtledemo"),  # not in every installation
        *("encodings", "pydoc_data"),  # generated; the code pages repeat one another across splits
    }
)
OF_THIS_MACHINE = ("_sysconfigdata", "config-", "sitecustomize", "usercustomize")


def load() -> Dataset:
    """The running interpreter's sources, one document a file, about 80/10/10% of the bytes.

    What comes out depends on the Python release (and on what its packager changed), and on nothing
    else about the machine. Raises `DataError` where the interpreter comes without sources.
    """
    sources = read_sources()
    splits = {split: list(files.values()) for split, files in sources.items()}
    return Dataset(
        name="stdlib",
        problem=Problem(
            task="language-modeling",
            input=TokenInput(vocab_size=259, length=LENGTH),
            output=TokenOutput(vocab_size=259, length=LENGTH),
            samples=sum(len(text.encode()) for text in splits["train"]) // LENGTH,
        ),
        splits={split: {"text": texts} for split, texts in splits.items()},
        license="PSF-2.0",
    )


def read_sources() -> dict[str, dict[str, str]]:
    """For each split, its files' texts by their path in the library, in the order of the paths.

    The hash of a file's path decides its split. Empty files are left out, and so are all but the
    first of those with the same text.
    """
    root = Path(sysconfig.get_path("stdlib"))
    sources: dict[str, dict[str, str]] = {split: {} for split in SPLITS}
    seen = {""}
    for path in _source_paths(root):
        text = (root / path).read_text(encoding="utf-8")  # line ends become \n
        if text not in seen:
            seen.add(text)
            sources[split_of(path)][path] = text
    if not all(sources.values()):
        raise DataError(f"no standard-library sources in {str(root)!r}; install all of Python's library")
    return sources


def split_of(path: str) -> str:
    """The split that a file belongs to, with `/` between the parts of its path."""
    bucket = hashlib.sha256(path.encode()).digest()[6]  # 0..255; this byte comes nearest to 80/10/10
    return "train" if bucket < 205 else "validation" if bucket < 230 else "test"


def _source_paths(root: Path) -> list[str]:
    paths = []
    for folder, folders, files in os.walk(root):
        folders[:] = [
            name for name in folders if name not in LEFT_OUT and not name.startswith(OF_THIS_MACHINE)
        ]
        paths += [
            Path(folder, name).relative_to(root).as_posix()
            for name in files
            if name.endswith(".py") and not name.startswith(OF_THIS_MACHINE)
        ]
    return sorted(paths)
