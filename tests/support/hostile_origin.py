"""An image origin on 127.0.0.1 that misbehaves in every way a download must survive.

    with HostileOrigin({"/ok.jpg": (data, "image/jpeg")}) as origin:
        origin.url("/ok.jpg"), origin.url("/status/404"), origin.hits["/ok.jpg"]

Good images are served quickly and over kept connections (HTTP/1.1), so that it also stands 10,000 requests.
What each route does is in `hostile_routes.py`, `hostile_redirects.py` and `hostile_encodings.py`.

    python -m tests.support.hostile_origin --images FOLDER [--port N] [--tls CERTIFICATE KEY]

serves the files of a folder in a process of its own, until standard input ends. Its first line on standard output
is the port.
"""

import argparse
import mimetypes
import select
import socket
import ssl
import sys
import threading
from collections import Counter, deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from urllib.parse import parse_qs, unquote

from tests.support import hostile_encodings, hostile_redirects, hostile_routes  # noqa: F401 - they add to ROUTES
from tests.support.hostile_answers import ROUTES, Hangup, image

_MOST_CONNECTIONS = 256
_LARGEST_HEAD = 64 * 1024


@dataclass
class Request:
    """What was asked, and the connection to answer on."""

    path: str
    query: dict[str, str]
    headers: dict[str, str]
    sock: socket.socket
    origin: "HostileOrigin"
    number: int = 1  # of the request on its connection
    rest: str = ""  # what follows the route in the path

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def wait(self, seconds: float) -> None:
        """Sleep; hang up when the server closes or the client has gone."""
        poll = select.poll()
        poll.register(self.sock, select.POLLRDHUP)  # closing shuts the socket down too
        if poll.poll(seconds * 1000) or self.origin.closing.is_set():
            raise Hangup


@dataclass
class HostileOrigin:
    """The server. `hits` counts requests by path, `connections` what was accepted.

    `seen` holds the last 1,000 requests.

    `listen` is the port to listen on; 0 takes a free one, which is then in `port`.
    With `tls`, a pair of certificate and key files, it speaks https as `localhost` and `127.0.0.1`.
    """

    images: Mapping[str, tuple[bytes, str]] = field(default_factory=dict)
    tls: tuple[str, str] | None = None
    host: str = "127.0.0.1"
    listen: int = 0
    hits: Counter[str] = field(default_factory=Counter)
    seen: deque[Request] = field(default_factory=lambda: deque(maxlen=1000))
    connections: int = 0

    def __post_init__(self) -> None:
        self.closing = threading.Event()
        self._lock = threading.Lock()
        self._vacant = threading.BoundedSemaphore(_MOST_CONNECTIONS)
        self._open: set[socket.socket] = set()
        self._answers = {path: image(*content) for path, content in self.images.items()}
        self._context: ssl.SSLContext | None = None
        if self.tls:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(*self.tls)

    def __enter__(self) -> "HostileOrigin":
        self._listener = socket.create_server((self.host, self.listen), backlog=512)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, name="origin", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closing.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for sock in self._open:
                with suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)

    def url(self, path: str, host: str | None = None, scheme: str | None = None) -> str:
        return f"{scheme or ('https' if self.tls else 'http')}://{host or self.host}:{self.port}{path}"

    def _accept(self) -> None:
        while not self.closing.is_set():
            self._vacant.acquire()
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections += 1
            with self._lock:
                self._open.add(sock)
            threading.Thread(target=self._serve, args=(sock,), name="origin", daemon=True).start()

    def _serve(self, plain: socket.socket) -> None:
        sock = plain
        try:
            if self._context:
                sock = self._context.wrap_socket(plain, server_side=True)
                with self._lock:
                    self._open.add(sock)
            head, number = b"", 0
            while not self.closing.is_set():
                while (end := head.find(b"\r\n\r\n")) < 0:
                    data = sock.recv(16384)
                    if not data or len(head) > _LARGEST_HEAD:
                        return
                    head += data
                number += 1
                head, request = head[end + 4 :], self._read(head[:end], sock, number)
                self._answer(request)
        except (OSError, Hangup):
            pass
        finally:
            with self._lock:
                self._open -= {sock, plain}
            sock.close()
            self._vacant.release()

    def _read(self, head: bytes, sock: socket.socket, number: int) -> Request:
        first, *lines = head.decode("latin-1").split("\r\n")
        path, _, query = first.split(" ")[1].partition("?")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        asked = {name: values[0] for name, values in parse_qs(query, keep_blank_values=True).items()}
        return Request(path, asked, headers, sock, self, number)

    def _answer(self, request: Request) -> None:
        with self._lock:
            self.hits[request.path] += 1
            self.seen.append(request)
        good = self._answers.get(request.path)
        if good is not None:
            return request.send(good)
        route, _, rest = request.path[1:].partition("/")
        request.rest = unquote(rest)
        ROUTES.get(route, ROUTES["status"])(request)
        return None


def main() -> None:
    """Serve a folder's files, and every fault, until standard input ends."""
    parser = argparse.ArgumentParser(description="An image origin on 127.0.0.1 that misbehaves.")
    parser.add_argument("--images", type=Path, required=True, help="folder of the files to serve")
    parser.add_argument("--port", type=int, default=0, help="port to listen on; 0: a free one")
    parser.add_argument("--tls", nargs=2, metavar=("CERTIFICATE", "KEY"), help="speak https")
    arguments = parser.parse_args()
    images = {
        f"/{path.name}": (path.read_bytes(), mimetypes.guess_type(path.name)[0] or "application/octet-stream")
        for path in arguments.images.iterdir()
    }
    tls = tuple(arguments.tls) if arguments.tls else None
    with HostileOrigin(images, tls, listen=arguments.port) as origin:
        print(origin.port, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
