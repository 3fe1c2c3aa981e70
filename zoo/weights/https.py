"""Files over https: into the zoo's cache, resumed where they were cut, checked before they are placed."""

from __future__ import annotations

import errno
import functools
import ipaddress
import os
import re
import shutil
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from zoo import settings
from zoo.errors import AbsentError, UntrustedError, WeightsError
from zoo.units import format_bytes
from zoo.weights import cache, pins, transfers
from zoo.weights.trust import Expectation, fault_of_new

if TYPE_CHECKING:
    import httpx2

REDIRECTS = 10
GAIN = 1_000_000  # bytes that count as getting somewhere, so that tries are counted anew
LONGEST_WAIT = 60.0  # seconds; a server that asks for more is not waited for
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
BUSY = {408, 425, 429, 500, 502, 503, 504}
REFUSED = {401, 403, 407}


def fetch(uri: str, recorded: Expectation) -> Path:
    """The cached file of a URI, fetched where it is not there or not as it should be.

    Raises `WeightsError` where it cannot be had, `UntrustedError` where it is false twice.
    """
    check_address(uri)
    path = cache.place(uri)
    expected = pins.expect(uri, recorded)
    if not _is_sound(path, expected):
        if settings.offline():
            raise WeightsError(
                f"{uri}: is not in the cache, and ZOO_OFFLINE=1 is set; with a network: "
                f"ZOO_OFFLINE=0 zoo weights get {uri}"
            )
        with cache.locked(cache.key_of(path)):
            if not _is_sound(path, expected):
                _fetch(uri, path, expected)
    if expected.sha256 is None:
        pins.keep(uri, path)
    return path


def check_address(uri: str) -> None:
    """Raises `WeightsError` for an address that is neither https nor http on this machine."""
    try:
        parts = urlsplit(uri)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        raise WeightsError(f"{uri}: is no address: {error}") from None
    if not host or parts.scheme not in ("https", "http"):
        raise WeightsError(f"{uri}: is no address; expected https://HOST/PATH")
    if parts.scheme == "http" and not _is_loopback(host):
        raise WeightsError(f"{uri}: plain http can be changed on its way; use https")


def _check_redirect(uri: str, request: httpx2.Request) -> None:
    try:
        check_address(str(request.url))
    except WeightsError as error:
        raise WeightsError(f"{uri}: is redirected to {error}") from None


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_sound(path: Path, expected: Expectation) -> bool:
    return path.is_file() and expected.fault(path) is None


def _fetch(uri: str, path: Path, expected: Expectation) -> None:
    """Downloads until the file is as expected, at most twice; only then it gets its name."""
    partial = cache.beside(path, cache.PARTIAL)
    fault = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            cache.set_aside(path, path)
        for _ in range(2):
            download(uri, path, expected)
            fault = fault_of_new(partial, path.name, expected)
            if fault is None:
                partial.replace(path)
                cache.beside(path, cache.VERSION).unlink(missing_ok=True)
                return
            cache.set_aside(partial, path)
    except OSError as error:
        raise _cannot_write(uri, partial, error) from None
    raise UntrustedError(f"{uri}: {fault}, when fetched twice; {pins.mend(expected)}")


def _cannot_write(uri: str, partial: Path, error: OSError) -> WeightsError:
    if error.errno not in FULL:
        return cache.unwritable(partial.parent, error)
    partial.unlink(missing_ok=True)  # it would keep the disk full
    return WeightsError(
        f"{uri}: the disk of {partial.parent} is full; free some space, or set ZOO_HOME to a folder elsewhere"
    )


# -- one download, in as many requests as it takes --------------------------------------------


class _AgainError(Exception):
    """A request that failed in a way that may pass; `seconds` is what the server asks to wait."""

    def __init__(self, reason: str, seconds: float | None = None) -> None:
        super().__init__(reason)
        self.seconds = seconds


def download(uri: str, path: Path, expected: Expectation) -> None:
    """Completes the partial file of `path`, going on from what is there; nothing of it is checked yet."""
    import httpx2  # slow to import

    partial = cache.beside(path, cache.PARTIAL)
    start = reached = _size(partial)
    tried = 0
    with httpx2.Client(
        timeout=settings.timeout(),
        follow_redirects=True,
        max_redirects=REDIRECTS,
        event_hooks={"request": [functools.partial(_check_redirect, uri)]},
    ) as client:
        while True:
            try:
                return _transfer(client, uri, path, expected)
            except _AgainError as error:
                reason, wait = str(error), error.seconds
            except httpx2.TimeoutException:
                reason, wait = f"nothing came for {settings.timeout():g} seconds", None
            except (httpx2.NetworkError, httpx2.RemoteProtocolError, httpx2.ProxyError) as error:
                if isinstance(error, httpx2.ConnectError) and _size(partial) == start:
                    raise WeightsError(
                        f"{uri}: cannot be reached: {one_line(error)}; try again later"
                    ) from None
                reason, wait = f"the connection broke ({one_line(error)})", None
            except httpx2.TooManyRedirects:
                raise WeightsError(
                    f"{uri}: is redirected more than {REDIRECTS} times; check the address"
                ) from None
            except (httpx2.HTTPError, httpx2.InvalidURL) as error:
                raise WeightsError(f"{uri}: {one_line(error)}; check the address") from None
            if _size(partial) >= reached + GAIN:
                reached, tried = _size(partial), 0
            tried += 1
            if tried > settings.retries():
                often = f", {tried} times in a row" if tried > 1 else ""
                raise WeightsError(f"{uri}: {reason}{often}; try again later")
            time.sleep(min(2.0**tried / 4, 8.0) if wait is None else wait)


def _transfer(client: httpx2.Client, uri: str, path: Path, expected: Expectation) -> None:
    """One request for what is missing of the file."""
    partial, version = cache.beside(path, cache.PARTIAL), cache.beside(path, cache.VERSION)
    have, validator = _size(partial), _read_text(version)
    if have and (expected.bytes is not None and have > expected.bytes):
        have = 0
    if have and not validator and expected.sha256 is None:
        have = 0  # nobody would notice if the file had changed in between
    if have and have == expected.bytes:
        return
    headers = {"Accept-Encoding": "identity"}
    if have:
        headers |= {"Range": f"bytes={have}-", **({"If-Range": validator} if validator else {})}
    with client.stream("GET", uri, headers=headers) as response:
        total = _total(response)
        if response.status_code == 416 and have and total == have:
            return
        if response.status_code == 200:
            have = 0
            partial.write_bytes(b"")
            version.write_text(_validator(response), encoding="utf-8")
        elif response.status_code in (206, 416) and _first(response) != have:
            partial.unlink(missing_ok=True)
            raise _AgainError("the server does not go on where the file was cut")
        elif response.status_code != 206:
            raise _refusal(uri, response)
        _check_size(uri, have, total, partial.parent, expected)
        with partial.open("ab") as file, transfers.bar(uri.rpartition("/")[2], have, total) as advance:
            for chunk in response.iter_raw():
                file.write(chunk)
                advance(len(chunk))
            file.flush()
            os.fsync(file.fileno())


def _check_size(uri: str, have: int, total: int | None, folder: Path, expected: Expectation) -> None:
    """Before anything is fetched: whether this can be the file, and whether there is room for it."""
    if total is None:
        return
    if expected.bytes is not None and total != expected.bytes:
        raise UntrustedError(
            f"{uri}: the server offers {total:,} bytes, {expected.said} {expected.bytes:,}; "
            f"{pins.mend(expected)}"
        )
    free = shutil.disk_usage(folder).free
    if total - have > free:
        raise WeightsError(
            f"{uri}: {format_bytes(total - have)} are to come and {folder} has {format_bytes(free)} free; "
            "free some space, or set ZOO_HOME to a folder elsewhere"
        )
    transfers.announce(uri, total - have)


def _refusal(uri: str, response: httpx2.Response) -> Exception:
    """The error for an answer that is no file."""
    status = response.status_code
    told = f"the server answers {status} {response.reason_phrase}".strip()
    if status in BUSY:
        wait = retry_after(response.headers.get("Retry-After"))
        if wait is None or wait <= LONGEST_WAIT:
            return _AgainError(told, wait)
        return WeightsError(f"{uri}: {told} and asks to wait {wait:.0f} seconds; try again then")
    if status in REFUSED:
        return WeightsError(f"{uri}: {told}; fetch the file with your login, and pass it as file:PATH")
    if status in (404, 410):
        return AbsentError(f"{uri}: {told}: there is no such file (any more); check the address")
    return WeightsError(f"{uri}: {told}, which is no file; check the address")


def retry_after(text: str | None) -> float | None:
    """The seconds that a `Retry-After` header asks to wait, given as such or as a date (RFC 9110, 10.2.3)."""
    if text is None:
        return None
    if re.fullmatch(r"\d{1,9}", text.strip()):
        return float(text)
    try:
        return max((parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds(), 0.0)
    except (ValueError, TypeError):  # no date; TypeError for one without a zone
        return None


def _validator(response: httpx2.Response) -> str:
    """What names this version of the file: a strong ETag, else its date; empty where there is neither."""
    tag = response.headers.get("ETag", "")
    return tag if tag.startswith('"') else response.headers.get("Last-Modified", "")


def _total(response: httpx2.Response) -> int | None:
    """The whole file's length in bytes, where the server says it."""
    if match := re.fullmatch(r"bytes (?:\d+-\d+|\*)/(\d+)", response.headers.get("Content-Range", "")):
        return int(match[1])
    length = response.headers.get("Content-Length", "")
    return int(length) if response.status_code == 200 and length.isdigit() else None


def _first(response: httpx2.Response) -> int | None:
    """The place in the file at which the answer begins."""
    match = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    return int(match[1]) if match else None


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _read_text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def one_line(error: BaseException) -> str:
    """All that an exception says, in one line."""
    return " ".join(str(error).split()) or type(error).__name__
