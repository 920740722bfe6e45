"""A server on 127.0.0.1 that records requests and answers each with success: for settings that only a cloud obeys.

It is a store by itself, or a proxy in front of any host: then `target` is the whole URL, or the host of a tunnel, which
is refused.
"""

import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

from imgrelay_dagster.demo.ports import HOST


@dataclass(frozen=True)
class Recorded:
    """A request; names of headers are in lower case."""

    method: str
    target: str
    headers: dict[str, str]


@dataclass
class RecordingServer:
    """The server; it runs during a `with` block."""

    requests: list[Recorded] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._server = ThreadingHTTPServer((HOST, 0), type("Handler", (_Handler,), {"requests": self.requests}))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, name="recording-server", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def endpoint(self) -> str:
        return f"http://{HOST}:{self._server.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    requests: list[Recorded]

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _handle(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.requests.append(Recorded(self.command, self.path, headers))
        self.send_response_only(502 if self.command == "CONNECT" else 200)
        self.send_header("ETag", '"1"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = do_CONNECT = _handle
