"""Folders: class folders of images or texts, the same by split, images beside a table, loose texts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from zoo.data import images
from zoo.data.dataset import SPLITS
from zoo.data.sources import open_source, texts
from zoo.data.table import ALIASES, Table, Values
from zoo.errors import DataError

TABLES = (".csv", ".tsv", ".jsonl", ".parquet")


def read_folder(root: Path) -> Table | None:
    """What a folder of images or texts holds, or None where it holds neither."""
    parts = {ALIASES.get(path.name.lower(), path.name.lower()): path for path in _folders(root)}
    given = {split: parts[split] for split in SPLITS if split in parts}
    beside = _table_beside(root)
    if beside is not None:
        return beside
    places = given or {"": root}
    if any(_folders(place) for place in places.values()):
        found = _class_folders(root, places)
        if found is not None:
            return found
    return _documents(root, places)


def _class_folders(root: Path, places: Mapping[str, Path]) -> Table | None:
    """`CLASS/FILE` under each place: images, or else texts."""
    for kind, suffixes in (("image", images.SUFFIXES), ("text", texts.SUFFIXES)):
        files = {split: _labelled(place, suffixes) for split, place in places.items()}
        if not any(files.values()):
            continue
        told: tuple[str, ...] = ()
        splits: dict[str, dict[str, Values]] = {}
        for split, pairs in files.items():
            paths = [path for path, _ in pairs]
            content: Values = paths
            if kind == "text":
                content, more = texts.find_documents(paths)
                told += more
            splits[split] = {
                kind: content,
                "label": [name for _, name in pairs],
                "path": [str(path) for path in paths],
            }
        where = f"{root}/{'SPLIT/' if '' not in places else ''}"
        strange = [path.name for path in _folders(root) if path not in places.values() and "" not in places]
        if strange:
            told += (f"folders that are no split are passed over: {', '.join(strange)}",)
        loose = [name for place in places.values() for name in _loose(place, suffixes)]
        if loose:
            told += (f"{len(loose):,} files in no class folder, such as {loose[0]!r}, are passed over",)
        _check_filled(root, splits)
        return Table(
            uri=str(root),
            name=root.resolve().name,
            kind=f"class folders of {kind}s, {where}CLASS/FILE",
            splits=splits,
            roles={kind: (kind,), "label": ("label",), "path": ("path",)},
            told=told,
        )
    return None


def _check_filled(root: Path, splits: Mapping[str, Mapping[str, Values]]) -> None:
    for split, columns in splits.items():
        if not len(columns["label"]):
            raise DataError(
                f"{str(root / split)!r} holds no class folders; expected {root / split}/CLASS/FILE"
            )


def _table_beside(root: Path) -> Table | None:
    """The one table in a folder of images, which names them."""
    if not _has_images(root):
        return None
    tables = [path for path in sorted(root.iterdir()) if path.suffix.lower() in TABLES and path.is_file()]
    found = [(path, table) for path in tables if _names_images(table := open_source(str(path)))]
    if not found:
        return None
    if len(found) > 1:
        names = ", ".join(path.name for path, _ in found)
        raise DataError(
            f"{str(root)!r} holds several tables: {names}; give the path of the one that names the images"
        )
    ((path, table),) = found
    return replace(table, name=root.resolve().name, told=(*table.told, f"labels come from {path.name}"))


def _names_images(table: Table) -> bool:
    firsts = (table.first(column) for column in table.columns)
    return any(isinstance(first, str) and Path(first).suffix.lower() in images.SUFFIXES for first in firsts)


def _documents(root: Path, places: Mapping[str, Path]) -> Table | None:
    """Texts in no class folders: documents."""
    splits: dict[str, dict[str, Values]] = {}
    told: tuple[str, ...] = ()
    for split, place in places.items():
        paths = sorted(
            path for path in place.rglob("*") if path.suffix.lower() in texts.SUFFIXES and path.is_file()
        )
        content, more = texts.find_documents(paths)
        splits[split], told = {"text": content, "path": [str(path) for path in paths]}, told + more
    if not any(len(columns["text"]) for columns in splits.values()):
        if _has_images(root):
            raise DataError(
                f"{str(root)!r} holds images, but no class folders and no table of labels: expected "
                f"{root}/CLASS/IMAGE.jpg, or {root}/labels.csv with columns path and label"
            )
        return None
    return Table(
        uri=str(root),
        name=root.resolve().name,
        kind="folder of texts",
        splits=splits,
        roles={"text": ("text",), "path": ("path",)},
        told=told,
    )


def _labelled(root: Path, suffixes: set[str]) -> list[tuple[Path, str]]:
    return [
        (path, folder.name)
        for folder in _folders(root)
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in suffixes and not path.name.startswith(".")
    ]


def _folders(root: Path) -> list[Path]:
    return [path for path in sorted(root.iterdir()) if path.is_dir() and not path.name.startswith(".")]


def _loose(root: Path, suffixes: set[str]) -> list[str]:
    return [
        path.name for path in sorted(root.iterdir()) if path.is_file() and path.suffix.lower() in suffixes
    ]


def _has_images(root: Path) -> bool:
    return any(path.suffix.lower() in images.SUFFIXES for path in root.rglob("*"))
