"""The HTTP server of the demo origin: HTTP/1.1 with persistent connections and a thread for each connection."""

import socketserver
import sys
import threading
from collections import Counter
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import SHUT_RDWR, socket
from typing import Any
from urllib.parse import urlsplit

from imgrelay_dagster.demo.faults import FAULTS
from imgrelay_dagster.demo.pictures import names, picture
from imgrelay_dagster.demo.ports import HOST


class Server(ThreadingHTTPServer):
    """Serves pictures and faults by path, and counts the requests for each target in `hits`."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, address: tuple[str, int], hits: Counter[str]) -> None:
        self.hits, self.lock = hits, threading.Lock()
        self.connections: set[socket] = set()
        super().__init__(address, Handler)

    def server_bind(self) -> None:
        # HTTPServer.server_bind would resolve the host's name, which may take seconds.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = HOST, self.server_address[1]

    def visit(self, target: str) -> int:
        """Count a request for `target` and return the number of requests for it so far."""
        with self.lock:
            self.hits[target] += 1
            return self.hits[target]

    def process_request(self, request: Any, client_address: Any) -> None:
        with self.lock:
            self.connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self.lock:
            self.connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        # Clients may close connections early, so an OSError is expected. Any other error is a bug and is printed.
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)

    def stop(self) -> None:
        """Stop serving and close every open connection."""
        self.shutdown()
        self.server_close()
        with self.lock:
            for connection in self.connections:
                try:
                    connection.shutdown(SHUT_RDWR)
                except OSError:
                    continue


class Handler(BaseHTTPRequestHandler):
    """Answers the requests of one connection. Faults see it as an `Exchange`."""

    protocol_version = "HTTP/1.1"
    server_version = "imgrelay-demo"
    disable_nagle_algorithm = True
    wbufsize = 1 << 16
    timeout = 60
    server: Server
    visit = 0

    def do_GET(self) -> None:
        self.visit = self.server.visit(self.path)
        path = urlsplit(self.path).path
        if path in FAULTS:
            FAULTS[path].answer(self)
        elif path.lstrip("/") in names():
            found = picture(path.lstrip("/"))
            self.reply(found.data, found.media_type)
        else:
            self.reply(b"no such picture\n", status=404)

    do_HEAD = do_GET

    def reply(
        self,
        body: bytes = b"",
        media_type: str = "text/plain; charset=utf-8",
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        content_length: int | None = None,
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body) if content_length is None else content_length))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if content_length is not None:
            self.close_connection = True
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def reply_chunked(self, body: bytes, media_type: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", media_type)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        if self.command != "HEAD":
            for start in range(0, len(body), 4096):
                chunk = body[start : start + 4096]
                self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
            self.wfile.write(b"0\r\n\r\n")

    def log_message(self, format: str, *args: Any) -> None:
        pass
