"""The part that the tests' own HTTP servers have in common: they listen on 127.0.0.1 during a `with` block."""

import threading
from abc import ABC, abstractmethod
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

from imgrelay_dagster.demo.ports import HOST


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256


class LocalServer(ABC):
    """A server with a thread for each connection, on a free port."""

    @abstractmethod
    def handler(self) -> type[BaseHTTPRequestHandler]:
        """The class that answers the requests of one connection. It is asked for when the server starts."""

    def __enter__(self) -> Self:
        self._server = _Server((HOST, 0), self.handler())
        threading.Thread(target=self._server.serve_forever, name=type(self).__name__, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def name(self) -> str:
        """Host and port."""
        return f"{HOST}:{self._server.server_address[1]}"

    @property
    def endpoint(self) -> str:
        return f"http://{self.name}"
