"""A server on 127.0.0.1 that records requests and answers each with success: for settings that only a cloud obeys.

It is a store by itself, or a proxy in front of any host: then `target` is the whole URL, or the host of a tunnel, which
is refused.
"""

from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler

from tests.support.local_server import LocalServer


@dataclass(frozen=True)
class Recorded:
    """A request; names of headers are in lower case."""

    method: str
    target: str
    headers: dict[str, str]


@dataclass
class RecordingServer(LocalServer):
    """The server; it runs during a `with` block."""

    requests: list[Recorded] = field(default_factory=list)

    def handler(self) -> type[BaseHTTPRequestHandler]:
        return type("Handler", (_Handler,), {"requests": self.requests})


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
