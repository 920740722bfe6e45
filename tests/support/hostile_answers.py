"""Building blocks of the hostile origin's routes: register a route, put an answer together, send it badly."""

import socket
import struct
from collections.abc import Callable
from typing import Any

ROUTES: dict[str, Callable[[Any], None]] = {}
BODY = b"0123456789" * 200  # 2,000 bytes, for routes that have no image to send


class Hangup(Exception):
    """Close the connection now."""


def answer(status: str, body: bytes = b"", *headers: str, length: int | None = None) -> bytes:
    """Put an answer together; `length` is what Content-Length says, the truth by default."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body) if length is None else length}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def image(body: bytes, content_type: str) -> bytes:
    return answer("200 OK", body, f"Content-Type: {content_type}")


def route(function: Callable[[Any], None]) -> Callable[[Any], None]:
    ROUTES[function.__name__.replace("_", "-")] = function
    return function


def content(request: Any) -> bytes:
    """The image named by the rest of the path, or some bytes."""
    found = request.origin.images.get("/" + request.rest.rpartition("/")[2])
    return found[0] if found else BODY


def send_slowly(request: Any, data: bytes, head: int = 0) -> None:
    request.send(data[:head])
    for start in range(head, len(data)):
        request.send(data[start : start + 1])
        request.wait(0.1)


def send_endlessly(request: Any) -> None:
    """Send until the client goes away."""
    block = b"x" * 65536
    while not request.origin.closing.is_set():
        request.send(block)
    raise Hangup


def reset_connection(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    raise Hangup
