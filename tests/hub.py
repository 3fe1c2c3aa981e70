"""A web server on this machine that plays the hub and plain storage, and fails as it is told to."""

from __future__ import annotations

import hashlib
import http.server
import re
import socketserver
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

COMMIT = "0" * 40


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What is wrong with one answer."""

    status: int | None = None  # with these headers and no file
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None  # the connection breaks after so many bytes of the body
    stall: int | None = None  # so many bytes come, and then none until the server is closed
    flip: int | None = None  # the byte that is another
    short: int = 0  # bytes that the file lacks at its end, as if it were so
    claims: int | None = None  # bytes that are announced, whatever then comes
    without_length: bool = False


@dataclass(frozen=True)
class Asked:
    """A request, and the bytes of a body that were sent in answer."""

    method: str
    path: str
    headers: dict[str, str]
    sent: list[int]


class Server(http.server.ThreadingHTTPServer):
    """Serves `files` by their paths; those of the hub as `/owner/repo/resolve/*/file`, at any revision.

    `faults` spoil the next GETs one after the other, `always` all of them.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, files: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files = files
        self.faults: deque[Fault] = deque()
        self.always: Fault | None = None
        self.asked: list[Asked] = []
        self.ranges = self.versions = True
        self.commit = COMMIT
        self.closed = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def gets(self) -> list[Asked]:
        """The requests for files' content, in their order."""
        return [asked for asked in self.asked if asked.method == "GET" and not _is_api(asked.path)]

    def handle_error(self, *told: Any) -> None:
        """Clients that go away in the middle are what is tested."""

    def server_bind(self) -> None:
        socketserver.TCPServer.server_bind(self)  # http.server's own asks for this machine's name
        self.server_name, self.server_port = self.server_address[:2]


@contextmanager
def serving(files: dict[str, bytes]) -> Iterator[Server]:
    """A server in a thread of its own, closed afterwards."""
    server = Server(files)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.closed.set()
        server.shutdown()
        server.server_close()
        thread.join()


def _is_api(path: str) -> bool:
    return path.startswith("/api/")  # what the hub's library asks beside files, now and then


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def setup(self) -> None:
        super().setup()
        self.asked = Asked("", "", {}, [])  # for methods that note no requests

    def do_GET(self) -> None:
        self.asked = Asked(self.command, self.path, dict(self.headers), [])
        self.server.asked.append(self.asked)
        fault = self.fault()
        if fault.status is not None:
            self.answer(fault.status, b"", fault.headers)
            return
        path = re.sub(r"/resolve/[^/]+/", "/resolve/*/", self.path.partition("?")[0])
        content = self.server.files.get(path)
        if content is None:
            self.answer(404, b"{}", {"X-Error-Code": "EntryNotFound", **self.of_hub()})
            return
        self.send_file(content, fault)

    do_HEAD = do_GET  # noqa: N815  (the name that the server looks for)

    def fault(self) -> Fault:
        if self.server.always or _is_api(self.path):
            return self.server.always or Fault()
        return self.server.faults.popleft() if self.command == "GET" and self.server.faults else Fault()

    def send_file(self, content: bytes, fault: Fault) -> None:
        if fault.flip is not None:
            changed = bytearray(content)
            changed[fault.flip] ^= 1
            content = bytes(changed)
        content = content[: len(content) - fault.short]
        version = {"ETag": f'"{hashlib.sha256(content).hexdigest()}"'} if self.server.versions else {}
        headers = {**self.of_hub(), **version}
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        condition = self.headers.get("If-Range")
        if not asked or not self.server.ranges or (condition and condition not in version.values()):
            self.answer(200, content, headers, fault)
        elif int(asked[1]) >= len(content):
            self.answer(416, b"", {**headers, "Content-Range": f"bytes */{len(content)}"})
        else:
            place = f"bytes {asked[1]}-{len(content) - 1}/{len(content)}"
            self.answer(206, content[int(asked[1]) :], {**headers, "Content-Range": place}, fault)

    def of_hub(self) -> dict[str, str]:
        hub = "/resolve/" in self.path or _is_api(self.path)
        return {"X-Repo-Commit": self.server.commit} if hub else {}

    def answer(self, status: int, body: bytes, headers: dict[str, str], fault: Fault = Fault()) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if not fault.without_length:
            self.send_header("Content-Length", str(fault.claims or len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        ends = [end for end in (fault.cut, fault.stall) if end is not None]
        body = body[: ends[0]] if ends else body
        self.asked.sent.append(len(body))  # first, for whoever has it all goes on at once
        self.wfile.write(body)
        self.wfile.flush()
        if fault.stall is not None:
            self.server.closed.wait(60)

    def log_message(self, *told: Any) -> None:
        pass
