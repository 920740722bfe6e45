"""A proxy on 127.0.0.1 in front of a real store. It injects faults into the requests that pass through it.

    with FaultyS3(seaweed) as store:
        store.fault_for = lambda request: SLOW_DOWN if request.is_image else None

Requests are forwarded unchanged, including `Host`, so that their signatures stay valid. `seen` counts the requests,
`struck` the injected faults. `most_delayed` is the largest number of requests that were delayed at the same time.
"""

import socket
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol, Self
from urllib.parse import unquote, urlsplit

from imgrelay_dagster.demo.ports import HOST

_ANSWER = """\
HTTP/1.1 {status} {code}\r\nContent-Type: application/xml\r\nContent-Length: {length}\r\n\r\n"""


@dataclass(frozen=True)
class Request:
    """A request; `key` is the key of the object, without its bucket. Names of headers are in lower case."""

    method: str
    key: str
    query: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_image(self) -> bool:
        """Whether this stores an image."""
        return self.method == "PUT" and self.key != "" and not self.key.startswith("_relay/")

    @property
    def is_receipt(self) -> bool:
        """Whether this stores receipts."""
        return self.method == "PUT" and "/receipts/" in self.key and self.key.endswith(".jsonl")


@dataclass(frozen=True)
class Fault:
    """The fault that is injected into one request.

    Attributes:
        delay: seconds before the request is forwarded.
        answer: status and error code that the proxy returns instead of the server's response.
        damage: changes the body before it is forwarded.
        hang: no response is ever sent.
        lose: the server executes the request, but the connection is closed before its response is sent.
        refuse: the connection is reset, and nothing is forwarded.
    """

    delay: float = 0.0
    answer: tuple[int, str] | None = None
    damage: Callable[[bytes], bytes] | None = None
    hang: bool = False
    lose: bool = False
    refuse: bool = False


def _flip(body: bytes) -> bytes:
    middle = len(body) // 2
    return body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :]


SLOW_DOWN = Fault(answer=(503, "SlowDown"))
REVOKED = Fault(answer=(403, "InvalidAccessKeyId"))
HANG = Fault(hang=True)
LOST = Fault(lose=True)
RESET = Fault(refuse=True)
DAMAGED = Fault(damage=_flip)
CUT = Fault(damage=lambda body: body[: len(body) // 2])


class Server(Protocol):
    """A store's server."""

    @property
    def endpoint(self) -> str: ...

    def environment(self) -> dict[str, str]: ...


@dataclass
class FaultyS3:
    """The proxy. `fault_for` returns the fault for a request, or None to forward it unchanged."""

    server: Server
    fault_for: Callable[[Request], Fault | None] = lambda _: None
    seen: Counter[str] = field(default_factory=Counter)
    struck: Counter[Fault] = field(default_factory=Counter)
    most_delayed: int = 0

    def __enter__(self) -> Self:
        self._over = threading.Event()
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._delayed = 0
        self._listener = socket.create_server((HOST, 0), backlog=512)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, name="s3-proxy", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for sock in self._open:
                with suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)

    def environment(self) -> dict[str, str]:
        """The variables that lead a client here."""
        given = self.server.environment()
        return {name: value.replace(self.server.endpoint, self.endpoint) for name, value in given.items()}

    @property
    def endpoint(self) -> str:
        return f"http://{HOST}:{self.port}"

    def _accept(self) -> None:
        while not self._over.is_set():
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._serve, args=(sock,), name="s3-proxy", daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        server: socket.socket | None = None
        with self._lock:
            self._open.add(client)
        try:
            with client, client.makefile("rb") as asked:
                while not self._over.is_set() and (message := _read(asked, client)) is not None:
                    request = _request(*message)
                    fault = self._befalls(request)
                    if fault.answer is not None:
                        client.sendall(_error(*fault.answer))
                        continue
                    if fault.refuse:
                        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                        return
                    if fault.hang:
                        self._over.wait()
                        return
                    if server is None:
                        server = socket.create_connection(urlsplit(self.server.endpoint).netloc.split(":"), timeout=30)
                    if not self._pass_on(client, server, message, fault):
                        return
        except OSError:
            pass
        finally:
            with self._lock:
                self._open.discard(client)
            if server is not None:
                server.close()

    def _befalls(self, request: Request) -> Fault:
        with self._lock:
            self.seen[f"{request.method} {request.key}"] += 1
            fault = self.fault_for(request) or Fault()
            self.struck[fault] += 1
            self._delayed += fault.delay > 0
            self.most_delayed = max(self.most_delayed, self._delayed)
        if fault.delay:
            self._over.wait(fault.delay)
            with self._lock:
                self._delayed -= 1
        return fault

    def _pass_on(
        self, client: socket.socket, server: socket.socket, message: tuple[bytes, bytes], fault: Fault
    ) -> bool:
        """Whether both connections can be used again."""
        head, body = message
        sent = fault.damage(body) if fault.damage else body
        server.sendall(head + sent)
        if len(sent) < len(body):
            server.shutdown(socket.SHUT_WR)
        with server.makefile("rb") as answers:
            method = head.split(b" ", 1)[0]
            answer = _read(answers, None, bodiless=method == b"HEAD")
        if answer is None or fault.lose:
            return False
        client.sendall(answer[0] + answer[1])
        return b"connection: close" not in answer[0].lower() and len(sent) == len(body)


def _read(stream, asking: socket.socket | None, *, bodiless: bool = False) -> tuple[bytes, bytes] | None:
    """Head and body of one message; None when the connection has ended."""
    lines = []
    while (line := stream.readline()) not in (b"\r\n", b""):
        lines.append(line)
    if not lines or line == b"":
        return None
    named = {name.strip().lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines[1:])}
    if asking is not None and b"expect" in named:
        asking.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        lines = [line for line in lines if not line.lower().startswith(b"expect:")]
    status = lines[0].split()[1]
    if bodiless or (asking is None and status in (b"204", b"304")):
        return b"".join(lines) + b"\r\n", b""
    if named.get(b"transfer-encoding", b"").lower() == b"chunked":
        return b"".join(lines) + b"\r\n", _chunks(stream)
    return b"".join(lines) + b"\r\n", stream.read(int(named.get(b"content-length", 0)))


def _chunks(stream) -> bytes:
    """Return a chunked body, still in its chunks."""
    found = []
    while True:
        size = stream.readline()
        piece = stream.read(int(size.partition(b";")[0], 16) + 2)
        found += [size, piece]
        if piece == b"\r\n" or not size:
            return b"".join(found)


def _request(head: bytes, body: bytes) -> Request:
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ")
    asked = urlsplit(target)
    named = (line.partition(":") for line in lines if line)
    headers = {name.strip().lower(): value.strip() for name, _, value in named}
    return Request(method, unquote(asked.path).lstrip("/").partition("/")[2], asked.query, body, headers)


def _error(status: int, code: str) -> bytes:
    body = f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>no</Message></Error>'.encode()
    return _ANSWER.format(status=status, code=code, length=len(body)).encode() + body
