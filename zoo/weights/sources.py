"""Where weights come from: URIs tried in order, each fetched file checked against its record."""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path

from zoo import settings
from zoo.errors import WeightsError
from zoo.specs import WeightsSpec

SCHEMES = "package://, hf://, file:"


def fetch_weights(spec: WeightsSpec) -> Path:
    """The local file of these weights, checked; the first source that can be had is used.

    Raises `WeightsError` that says why each source could not be had, or which hash was wrong.
    """
    failures: list[str] = []
    for uri in spec.sources:
        try:
            path = fetch(uri)
        except WeightsError as error:
            failures.append(str(error))
            continue
        check_file(path, spec)
        return path
    raise WeightsError(f"{spec.name} cannot be had: {'; '.join(failures)}")


def fetch(uri: str) -> Path:
    """The local file behind a URI; hub files come through huggingface_hub and its cache."""
    scheme, _, rest = uri.partition(":")
    if scheme == "package":
        return _from_package(uri, rest.removeprefix("//"))
    if scheme == "file":
        return _from_file(uri, rest)
    if scheme == "hf":
        return _from_hub(uri, rest.removeprefix("//"))
    raise WeightsError(f"{uri!r} is no source of weights; known: {SCHEMES}")


def find_local(spec: WeightsSpec) -> Path | None:
    """The file of these weights where it is here already; nothing is fetched, and nothing checked."""
    for uri in spec.sources:
        scheme, _, rest = uri.partition(":")
        try:
            path = _in_cache(uri, rest.removeprefix("//")) if scheme == "hf" else fetch(uri)
        except WeightsError:
            continue
        if path is not None:
            return path
    return None


def check_file(path: Path, spec: WeightsSpec) -> None:
    """Compares size and sha256 with the record; raises `WeightsError` on a difference."""
    size = path.stat().st_size
    if spec.bytes is not None and size != spec.bytes:
        raise WeightsError(f"{spec.name}: {path} has {size:,} bytes, its record says {spec.bytes:,}")
    if spec.sha256 is not None and (found := sha256(path)) != spec.sha256:
        raise WeightsError(
            f"{spec.name}: {path} is not loaded: its sha256 is {found[:12]}..., "
            f"its record says {spec.sha256[:12]}..."
        )


def sha256(path: Path) -> str:
    """The sha256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _from_package(uri: str, rest: str) -> Path:
    package, _, file = rest.partition("/")
    try:
        found = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        found = None
    if found is None or not found.submodule_search_locations:
        raise WeightsError(
            f"{uri}: the package {package!r} is not installed; pip install {package.replace('_', '-')}"
        )
    path = Path(found.submodule_search_locations[0], file)
    if not path.is_file():
        raise WeightsError(f"{uri}: the installed {package!r} has no such file")
    return path


def _from_file(uri: str, rest: str) -> Path:
    path = Path(rest.removeprefix("//"))
    if path.is_dir():
        path = path / "model.safetensors"
    if not path.is_file():
        raise WeightsError(f"{uri}: no such file")
    return path


def _from_hub(uri: str, rest: str) -> Path:
    repo, revision, file = _hub_parts(uri, rest)
    from huggingface_hub import hf_hub_download  # slow to import
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        path = hf_hub_download(repo, file, revision=revision, local_files_only=settings.offline())
    except LocalEntryNotFoundError:
        why = "ZOO_OFFLINE=1 is set" if settings.offline() else "the hub cannot be reached"
        raise WeightsError(f"{uri}: is not in the cache, and {why}") from None
    except (HfHubHTTPError, OSError, ValueError) as error:
        raise WeightsError(f"{uri}: {str(error).strip().splitlines()[0]}") from None
    return Path(path)


def _in_cache(uri: str, rest: str) -> Path | None:
    repo, revision, file = _hub_parts(uri, rest)
    from huggingface_hub import try_to_load_from_cache  # slow to import

    found = try_to_load_from_cache(repo, file, revision=revision)
    return Path(found) if isinstance(found, str) else None


def _hub_parts(uri: str, rest: str) -> tuple[str, str | None, str]:
    """The repository, the revision and the file that a hub URI names."""
    parts = rest.split("/")
    if len(parts) < 3 or not all(parts):
        raise WeightsError(f"{uri}: expected hf://owner/repo[@revision]/file")
    repo, _, revision = "/".join(parts[:2]).partition("@")
    return repo, revision or None, "/".join(parts[2:])
