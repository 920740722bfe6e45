"""A proxy on 127.0.0.1 that refuses everything with one status, as squid does for a host its rules do not allow."""

import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType, TracebackType
from typing import Self

HOST = "127.0.0.1"


class RefusingProxy:
    """The proxy; it runs during a `with` block. `requests` are the request lines that it has seen.

    `headers` are sent with each of its answers.
    """

    def __init__(self, status: int, headers: Mapping[str, str] = MappingProxyType({})) -> None:
        self.requests: list[str] = []
        members = {"proxy": self, "status": status, "headers_sent": headers}
        self._server = ThreadingHTTPServer((HOST, 0), type("Handler", (_Handler,), members))
        self._server.daemon_threads = True
        self.name = f"{HOST}:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, name="refusing-proxy", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy: RefusingProxy
    status: int
    headers_sent: Mapping[str, str]

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _handle(self) -> None:
        self.proxy.requests.append(self.requestline)
        self.send_response(self.status)
        self.send_header("Content-Length", "0")
        for name, value in self.headers_sent.items():
            self.send_header(name, value)
        self.end_headers()

    do_GET = do_CONNECT = _handle
