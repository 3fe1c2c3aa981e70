"""Files of the Hugging Face hub, by huggingface_hub and in its cache; checked here before they are used."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Any

from zoo import settings
from zoo.errors import AbsentError, UntrustedError, WeightsError
from zoo.weights import cache, pins, transfers
from zoo.weights.https import BUSY, FULL, LONGEST_WAIT, one_line, retry_after
from zoo.weights.trust import Expectation, fault_of_new


def fetch(uri: str, recorded: Expectation) -> Path:
    """The file of `hf://owner/repo[@revision]/file` in the hub's cache, fetched where it is not there.

    A file that is false is removed and fetched once more. Raises `WeightsError` where it cannot be had,
    `UntrustedError` where it is false twice.
    """
    path = _download(uri)
    commit = commit_of(path)
    expected = pins.expect(uri, recorded, commit=commit)
    fault = fault_of_new(path, path.name, expected)
    if fault is not None:
        path = _mend(uri, expected, fault)
    if expected.sha256 is None:
        _tell_of_moved(uri, commit)
        pins.keep(uri, path, commit=commit)
    return path


def find(uri: str) -> Path | None:
    """The file in the hub's cache, None where it is not there; the hub is not asked."""
    from huggingface_hub import try_to_load_from_cache  # slow to import

    repo, revision, file = parts(uri)
    found = try_to_load_from_cache(repo, file, revision=revision)
    return Path(found) if isinstance(found, str) else None


def parts(uri: str) -> tuple[str, str | None, str]:
    """The repository, the revision and the file that a hub URI names."""
    names = uri.removeprefix("hf://").split("/")
    if len(names) < 3 or not all(names):
        raise WeightsError(f"{uri}: expected hf://owner/repo[@revision]/file")
    repo, _, revision = "/".join(names[:2]).partition("@")
    return repo, revision or None, "/".join(names[2:])


def commit_of(path: Path) -> str:
    """The commit that a file of the hub's cache was taken from."""
    names = path.parts
    return names[len(names) - names[::-1].index("snapshots")]


def at_commit(uri: str, path: Path) -> str:
    """The URI with the commit for its revision, so that files fetched one by one belong together."""
    repo, _, file = parts(uri)
    return f"hf://{repo}@{commit_of(path)}/{file}"


def _mend(uri: str, expected: Expectation, fault: str) -> Path:
    if _offline():
        raise UntrustedError(f"{uri}: {fault}; with a network, it is fetched anew: zoo weights get {uri}")
    with cache.locked(uri):
        for _ in range(2):
            path = _download(uri)
            found = fault_of_new(path, path.name, expected)
            if found is None:
                return path  # another process may have mended it
            fault = found
            blob = path.resolve()
            for false in (path, blob):
                false.unlink(missing_ok=True)
    raise UntrustedError(f"{uri}: {fault}, when fetched twice; {pins.mend(expected)}")


def _tell_of_moved(uri: str, commit: str) -> None:
    pin = pins.pinned(uri)
    if pin is not None and pin.commit != commit:
        transfers.tell(f"{uri} has moved from commit {str(pin.commit)[:12]} to {commit[:12]}")


def _download(uri: str) -> Path:
    import httpx2
    from huggingface_hub import hf_hub_download  # slow to import
    from huggingface_hub.errors import LocalEntryNotFoundError, RemoteEntryNotFoundError

    repo, revision, file = parts(uri)
    here = find(uri)
    if offline := _offline():  # hf_hub_download(local_files_only=True) would ask the hub for other things
        if _known_absent(repo, revision, file):
            raise AbsentError(f"{uri}: the repository has no such file")
        if here is None:
            raise WeightsError(
                f"{uri}: is not in the cache, and {offline}=1 is set; with a network: "
                f"{offline}=0 zoo weights get {uri}"
            )
        return here
    try:
        if here is None:
            with contextlib.suppress(RemoteEntryNotFoundError):  # hf_hub_download finds so too, and remembers
                _ask_hub(uri)
        bars = None if transfers.shown() else _silent()
        return Path(hf_hub_download(repo, file, revision=revision, tqdm_class=bars))
    except LocalEntryNotFoundError as error:
        raise WeightsError(f"{uri}: {reason(error.__cause__ or error)}") from None
    except RemoteEntryNotFoundError as error:
        raise AbsentError(f"{uri}: {reason(error)}") from None
    except (httpx2.HTTPError, OSError, ValueError) as error:
        raise WeightsError(f"{uri}: {reason(error)}") from None


def _known_absent(repo: str, revision: str | None, file: str) -> bool:
    """Whether the hub has said before that there is no such file."""
    from huggingface_hub import _CACHED_NO_EXIST, try_to_load_from_cache

    return try_to_load_from_cache(repo, file, revision=revision) is _CACHED_NO_EXIST


def _offline() -> str | None:
    """The setting by which the hub must not be asked, if one is made."""
    from huggingface_hub import is_offline_mode

    return "ZOO_OFFLINE" if settings.offline() else "HF_HUB_OFFLINE" if is_offline_mode() else None


def _ask_hub(uri: str) -> None:
    """Asks for the file's size and tells of it; waits for a hub that is busy, but not for long."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.errors import HfHubHTTPError

    repo, revision, file = parts(uri)
    for left in range(settings.retries(), -1, -1):
        try:
            found = get_hf_file_metadata(hf_hub_url(repo, file, revision=revision))
        except HfHubHTTPError as error:
            status, headers = error.response.status_code, error.response.headers
            wait = retry_after(headers.get("Retry-After"))
            if status not in BUSY or not left or (wait or 0) > LONGEST_WAIT:
                raise
            time.sleep(2.0 ** (settings.retries() - left) / 4 if wait is None else wait)
        else:
            transfers.announce(uri, found.size or 0)
            return


def reason(error: BaseException) -> str:
    """What went wrong and what to do, in one line."""
    import httpx2
    from huggingface_hub import errors

    if isinstance(error, errors.GatedRepoError):
        return "its owner wants its terms accepted: do so on its page on the hub, then: hf auth login"
    if isinstance(error, errors.RepositoryNotFoundError):
        return "no such repository, or a private one; check the name, or log in: hf auth login"
    if isinstance(error, errors.RevisionNotFoundError):
        return "the repository has no such revision; check what stands after the @"
    if isinstance(error, errors.RemoteEntryNotFoundError):
        return "the repository has no such file; check its name"
    if isinstance(error, errors.HfHubHTTPError):
        status = error.response.status_code
        mend = "log in: hf auth login" if status in (401, 403) else "try again later"
        return f"the hub answers {status} {error.response.reason_phrase}; {mend}"
    if isinstance(error, httpx2.TimeoutException):
        return "nothing came from the hub for too long (HF_HUB_DOWNLOAD_TIMEOUT); try again later"
    if isinstance(error, httpx2.HTTPError):
        return f"the hub cannot be reached: {one_line(error)}; try again later"
    if isinstance(error, OSError) and error.errno in FULL:
        return "the disk is full; free some space, or set HF_HOME to a folder elsewhere"
    return one_line(error)


def _silent() -> Any:
    """The hub's bars, not shown: it would also show them with `-q`."""
    from huggingface_hub.utils import tqdm  # type: ignore[attr-defined]  # documented, not re-exported

    class Silent(tqdm):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **{**options, "disable": True})  # type: ignore[no-untyped-call]

    return Silent
