"""Where weights come from: URIs tried in order, each file checked against its record.

package://PACKAGE/PATH          a file of an installed package
hf://OWNER/REPO[@REVISION]/PATH a file on the Hugging Face hub
https://HOST/PATH               a file anywhere; http:// only from this machine
file:PATH                       a file here, or the folder of one
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable
from pathlib import Path

from zoo.errors import AbsentError, UntrustedError, WeightsError
from zoo.paths import is_file, is_folder
from zoo.specs import WeightsSpec
from zoo.weights import cache, https, hub
from zoo.weights.headers import check_name
from zoo.weights.shards import files_of, is_index, read_index
from zoo.weights.trust import ANYTHING, Expectation, sha256

__all__ = ["beside", "cached_files", "check_file", "fetch", "fetch_weights", "find_local", "sha256"]

DEFAULT_FILES = ("model.safetensors", "model.safetensors.index.json")
LONGEST = 64 << 20  # bytes of a file beside weights; a large vocabulary has a quarter of that


def fetch_weights(spec: WeightsSpec) -> Path:
    """The local file of these weights, checked; the first source that can be had is used.

    Of weights in several files it is their index, beside which the others are. Raises `WeightsError` that
    says why each source could not be had, `UntrustedError` where a file is not what its record says.
    """
    failures: list[str] = []
    for uri in spec.sources:
        try:
            return fetch(uri, _expected(spec))
        except UntrustedError as error:
            raise UntrustedError(f"{spec.name}: {error}") from None
        except WeightsError as error:
            failures.append(str(error))
    raise WeightsError(f"{spec.name} cannot be had: {'; '.join(failures)}")


def fetch(uri: str, expected: Expectation = ANYTHING) -> Path:
    """The local file behind a URI, with all the files beside it that it is the index of.

    Of an index, `expected.sha256` is its own and `expected.bytes` those of the other files together.
    """
    uri = _in_folder(uri)
    if not is_index(uri):
        return _fetch_file(uri, expected)
    index = _fetch_file(uri, Expectation(sha256=expected.sha256))
    home = hub.at_commit(uri, index) if uri.startswith("hf://") else uri
    for name, digest in read_index(index).files.items():
        _fetch_file(_sibling(home, name), Expectation(sha256=digest, said=f"{index.name} says"))
    _check_total(uri, index, expected)
    return index


def find_local(spec: WeightsSpec) -> Path | None:
    """The file of these weights where it is here already; nothing is fetched, and nothing checked."""
    for uri in spec.sources:
        try:
            path = _find(_in_folder(uri))
            if path is not None and all(file.is_file() for file in files_of(path)):
                return path
        except WeightsError:
            continue
    return None


def beside(spec: WeightsSpec, path: Path) -> Callable[[str], bytes | None]:
    """What reads the files beside these weights, which are at `path`: None for one that is not there.

    From the hub they are of the same commit. Raises `WeightsError` for one that cannot be had.
    """
    places = {_find(uri): uri for uri in map(_in_folder, spec.sources) if _is_here(uri)}
    home = places.get(path, f"file:{path}")
    home = hub.at_commit(home, path) if home.startswith("hf://") else home

    def read(name: str) -> bytes | None:
        try:
            found = _fetch_file(_sibling(home, name), ANYTHING)
        except AbsentError:
            return None
        if found.stat().st_size > LONGEST:
            raise WeightsError(f"{found}: is too long for a file beside weights")
        return found.read_bytes()

    return read


def check_file(path: Path, spec: WeightsSpec) -> None:
    """Compares size and sha256 with the record; raises `UntrustedError` on a difference."""
    expected = _expected(spec)
    if is_index(path.name):
        _check_total(spec.name, path, expected)
        expected = Expectation(sha256=spec.sha256)
    if fault := expected.fault(path):
        raise UntrustedError(f"{spec.name}: {path} {fault}")


def cached_files(specs: Iterable[WeightsSpec]) -> set[Path]:
    """Every file of the zoo's own cache from which one of these weights can be loaded."""
    found: set[Path] = set()
    for spec in specs:
        for path in (cache.place(uri) for uri in spec.sources if uri.startswith(("https:", "http:"))):
            found.add(path)
            if is_index(path.name) and path.is_file():
                found |= {*files_of(path)}
    return found


def _expected(spec: WeightsSpec) -> Expectation:
    return Expectation(sha256=spec.sha256, bytes=spec.bytes)


def _check_total(uri: str, index: Path, expected: Expectation) -> None:
    total = sum(file.stat().st_size for file in files_of(index))
    if expected.bytes not in (None, total):
        raise UntrustedError(
            f"{uri}: its files have {total:,} bytes, {expected.said} {expected.bytes:,}; "
            "ask those who brought the record"
        )


# -- one file ---------------------------------------------------------------------------------


def _fetch_file(uri: str, expected: Expectation) -> Path:
    scheme, _, rest = uri.partition(":")
    if scheme in _REMOTE:
        check_name(uri)  # before it is fetched in vain
        return _REMOTE[scheme](uri, expected)
    if scheme not in _LOCAL:
        raise WeightsError(f"{uri!r} is no source of weights; known: package://, hf://, https://, file:")
    path = _LOCAL[scheme](uri, rest.removeprefix("//"))
    if fault := expected.fault(path):
        raise UntrustedError(f"{path} {fault}")
    return path


def _find(uri: str) -> Path | None:
    scheme, _, rest = uri.partition(":")
    if scheme == "hf":
        return hub.find(uri)
    if scheme in ("https", "http"):
        return path if (path := cache.place(uri)).is_file() else None
    return _LOCAL[scheme](uri, rest.removeprefix("//")) if scheme in _LOCAL else None


def _is_here(uri: str) -> bool:
    try:
        return _find(uri) is not None
    except WeightsError:
        return False


def _sibling(uri: str, name: str) -> str:
    """The URI of the file `name` beside the one of `uri`."""
    address, mark, query = uri.partition("?")
    return f"{address.rpartition('/')[0]}/{name}{mark}{query}"


def _in_folder(uri: str) -> str:
    """The URI itself, or that of the weights in the folder that it names."""
    folder = Path(uri.removeprefix("file:").removeprefix("//"))
    if not uri.startswith("file:") or not is_folder(folder):
        return uri
    found = [name for name in DEFAULT_FILES if (folder / name).is_file()]
    return f"file:{folder / (found or DEFAULT_FILES)[0]}"


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
        raise AbsentError(f"{uri}: the installed {package!r} has no such file")
    return path


def _from_file(uri: str, rest: str) -> Path:
    path = Path(rest)
    if not is_file(path):
        raise AbsentError(f"{uri}: no such file")
    return path


_LOCAL: dict[str, Callable[[str, str], Path]] = {"package": _from_package, "file": _from_file}
_REMOTE: dict[str, Callable[[str, Expectation], Path]] = {
    "hf": hub.fetch,
    "https": https.fetch,
    "http": https.fetch,
}
