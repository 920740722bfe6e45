"""A proxy on 127.0.0.1 that refuses everything with one status, as squid does for a host its rules do not allow."""

from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler
from types import MappingProxyType

from tests.support.local_server import LocalServer


class RefusingProxy(LocalServer):
    """The proxy; it runs during a `with` block. `requests` are the request lines that it has seen.

    `headers` are sent with each of its answers.
    """

    def __init__(self, status: int, headers: Mapping[str, str] = MappingProxyType({})) -> None:
        self.requests: list[str] = []
        self._status, self._headers = status, headers

    def handler(self) -> type[BaseHTTPRequestHandler]:
        members = {"proxy": self, "status": self._status, "headers_sent": self._headers}
        return type("Handler", (_Handler,), members)


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
