"""A server of images that answers conditional requests (RFC 9110 13) and remembers what it was asked."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Self

DATE = "Wed, 21 Oct 2015 07:28:00 GMT"


@dataclass(frozen=True)
class Served:
    """What the server has under a path."""

    body: bytes
    etag: str | None = None
    modified: str | None = None
    status: int = 200
    location: str | None = None


@dataclass
class ConditionalOrigin:
    """The server, on its own port. `served` may be changed at any time. `asked` has path, status and conditions."""

    served: dict[str, Served] = field(default_factory=dict)
    asked: list[tuple[str, int, Mapping[str, str]]] = field(default_factory=list)

    def __enter__(self) -> Self:
        origin = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                found = origin.served.get(self.path, Served(b"", status=404))
                names = ("If-None-Match", "If-Modified-Since")
                conditions = {name: self.headers[name] for name in names if name in self.headers}
                is_same = (
                    conditions["If-None-Match"] == found.etag
                    if "If-None-Match" in conditions
                    else found.modified is not None and conditions.get("If-Modified-Since") == found.modified
                )
                status = 304 if is_same and found.status == 200 else found.status
                origin.asked.append((self.path, status, conditions))
                self.send_response(status)
                headers = {"ETag": found.etag, "Last-Modified": found.modified, "Location": found.location}
                for name, value in headers.items():
                    if value is not None:
                        self.send_header(name, value)
                if status != 304:
                    self.send_header("Content-Length", str(len(found.body)))
                self.end_headers()
                if status != 304:
                    self.wfile.write(found.body)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def url(self, path: str) -> str:
        """The URL of a path."""
        return f"http://127.0.0.1:{self._server.server_port}{path}"

    def take(self) -> dict[str, tuple[int, Mapping[str, str]]]:
        """Status and conditions of the requests since the last call, by path; each path must be asked once."""
        taken = {path: (status, conditions) for path, status, conditions in self.asked}
        assert len(taken) == len(self.asked)
        self.asked.clear()
        return taken
