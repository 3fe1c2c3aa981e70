"""Hugging Face data sets: saved on disk, or on the hub by name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from zoo import settings
from zoo.data.sources.tables import class_names
from zoo.data.table import ALIASES, Table
from zoo.errors import DataError, first_line


def read_saved(root: Path) -> Table | None:
    """What `datasets` saved with `save_to_disk`, mapped into memory; None where `root` is no such folder."""
    if not ((root / "dataset_dict.json").is_file() or (root / "state.json").is_file()):
        return None
    import datasets

    try:
        found = datasets.load_from_disk(str(root))
    except Exception as error:  # a damaged folder may fail anywhere inside of `datasets`
        raise DataError(f"{str(root)!r} cannot be read as a saved data set: {first_line(error)}") from None
    return _table(str(root), root.resolve().name, "saved data set", found)


def read_hub(uri: str) -> Table:
    """`hf://owner/name`, `hf://owner/name@revision` or `hf://owner/name#configuration`; kept once fetched."""
    import datasets

    rest, _, configuration = uri.removeprefix("hf://").removeprefix("datasets/").partition("#")
    repository, _, revision = rest.partition("@")
    if repository.count("/") != 1 or not all(repository.split("/")):
        raise DataError(f"{uri!r} names no data set; expected hf://OWNER/NAME")
    offline = settings.offline() or datasets.config.HF_HUB_OFFLINE
    try:
        with _manners(offline=offline):
            found = datasets.load_dataset(repository, configuration or None, revision=revision or None)
    except Exception as error:  # of the network, the hub or the files: `datasets` raises many kinds
        why = "this process is offline and has no copy of it" if offline else first_line(error)
        raise DataError(f"{uri!r} cannot be had: {why}") from None
    return _table(uri, repository.split("/")[1], "hub data set", found)


@contextmanager
def _manners(*, offline: bool) -> Iterator[None]:
    """`datasets` without bars and remarks and, where `offline`, without a request; as it was afterwards."""
    import datasets
    import huggingface_hub

    loud = datasets.utils.logging, huggingface_hub.logging
    before = [part.get_verbosity() for part in loud], datasets.config.HF_HUB_OFFLINE
    bars = datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    datasets.config.HF_HUB_OFFLINE = offline
    for part in loud:
        part.set_verbosity_error()
    try:
        yield
    finally:
        datasets.config.HF_HUB_OFFLINE = before[1]
        for part, level in zip(loud, before[0], strict=True):
            part.set_verbosity(level)
        if not bars:
            datasets.enable_progress_bars()


def _table(uri: str, name: str, kind: str, found: Any) -> Table:
    parts = dict(found) if isinstance(found, dict) else {"": found}
    splits: dict[str, Any] = {}
    names: dict[str, tuple[str, ...]] = {}
    for split, part in parts.items():
        if not len(part):
            continue
        flat = part.flatten_indices() if part._indices is not None else part
        table = flat.data.table
        names |= class_names(part.features.arrow_schema)
        split = ALIASES.get(split.lower(), split.lower())
        splits[split] = dict(zip(table.column_names, table.columns, strict=True))
    if set(splits) == {"train"}:
        splits = {"": splits["train"]}
    if not splits:
        raise DataError(f"{uri!r} holds no rows")
    return Table(uri=uri, name=name, kind=kind, splits=splits, names=names)
