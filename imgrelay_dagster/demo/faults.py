"""Faults of real URLs, one path for each, and the failure reason that imgrelay should report."""

import struct
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from imgrelay_dagster.demo.pictures import picture
from imgrelay_dagster.relay.outcomes import Reason

SLOW_SECONDS = 1.0
HTML = b"<!doctype html><title>Please sign in</title><p>Please sign in to see this picture.</p>"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="80" height="60"><circle cx="40" cy="30" r="20"/></svg>'


class Exchange(Protocol):
    """One request as a fault sees it. `visit` is the number of requests for its target so far, from 1."""

    visit: int

    def reply(
        self,
        body: bytes = b"",
        media_type: str = "text/plain; charset=utf-8",
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        content_length: int | None = None,
    ) -> None:
        """Send a response. `content_length` overrides Content-Length; the connection is then closed."""

    def reply_chunked(self, body: bytes, media_type: str) -> None:
        """Send a response with the transfer encoding chunked."""


@dataclass(frozen=True, slots=True)
class Fault:
    """The response of one URL. `reason` is the expected failure, or None if the image is relayed anyway."""

    answer: Callable[[Exchange], None]
    reason: Reason | None


def _status(code: int) -> Callable[[Exchange], None]:
    return lambda exchange: exchange.reply(f"status {code}\n".encode(), status=code)


def _redirect(target: str) -> Callable[[Exchange], None]:
    return lambda exchange: exchange.reply(status=302, headers={"Location": target})


def _body(make: Callable[[], bytes], media_type: str = "image/jpeg") -> Callable[[Exchange], None]:
    return lambda exchange: exchange.reply(make(), media_type)


def _jpeg() -> bytes:
    return picture("jpeg/small-dawn.jpg").data


def _busy_twice(exchange: Exchange) -> None:
    if exchange.visit <= 2:
        exchange.reply(b"busy\n", status=503, headers={"Retry-After": "0"})
    else:
        exchange.reply(_jpeg(), "image/jpeg")


def _slow(exchange: Exchange) -> None:
    time.sleep(SLOW_SECONDS)
    exchange.reply(_jpeg(), "image/jpeg")


def _truncated(exchange: Exchange) -> None:
    body = _jpeg()
    exchange.reply(body[: len(body) // 2], "image/jpeg", content_length=len(body))


def corrupt_jpeg() -> bytes:
    """Return a JPEG with a valid header and invalid Huffman tables."""
    body = bytearray(_jpeg())
    table = body.index(b"\xff\xc4")
    body[table + 5 : table + 21] = b"\xff" * 16
    return bytes(body)


def half_jpeg() -> bytes:
    """Return the first half of a JPEG, as if its upload to the origin had been interrupted."""
    return _jpeg()[: len(_jpeg()) // 2]


def bomb_png(side: int = 50_000) -> bytes:
    """Return a PNG of less than 100 bytes whose header declares `side` x `side` pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(16))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


FAULTS: dict[str, Fault] = {
    "/bad/not-found.jpg": Fault(_status(404), Reason.HTTP_STATUS),
    "/bad/gone.jpg": Fault(_status(410), Reason.HTTP_STATUS),
    "/bad/forbidden.jpg": Fault(_status(403), Reason.HTTP_STATUS),
    "/bad/server-error.jpg": Fault(_status(500), Reason.HTTP_STATUS),
    "/bad/sign-in-page.jpg": Fault(_body(lambda: HTML), Reason.UNSUPPORTED_FORMAT),
    "/bad/readme.txt": Fault(_body(lambda: b"just text\n", "text/plain"), Reason.UNSUPPORTED_FORMAT),
    "/bad/drawing.svg": Fault(_body(lambda: SVG, "image/svg+xml"), Reason.UNSUPPORTED_FORMAT),
    "/bad/truncated.jpg": Fault(_truncated, Reason.TRUNCATED),
    "/bad/corrupt.jpg": Fault(_body(corrupt_jpeg), Reason.CORRUPT_IMAGE),
    "/bad/half.jpg": Fault(_body(half_jpeg), Reason.CORRUPT_IMAGE),
    "/bad/empty.jpg": Fault(_body(bytes), Reason.EMPTY_BODY),
    "/bad/pixel-bomb.png": Fault(_body(bomb_png, "image/png"), Reason.TOO_MANY_PIXELS),
    "/bad/huge.jpg": Fault(lambda e: e.reply(_jpeg(), "image/jpeg", content_length=50 * 2**30), Reason.TOO_LARGE),
    "/bad/redirect-loop.jpg": Fault(_redirect("/bad/redirect-loop.jpg"), Reason.TOO_MANY_REDIRECTS),
    "/bad/redirect-to-private.jpg": Fault(_redirect("http://169.254.169.254/x.jpg"), Reason.BLOCKED_ADDRESS),
    "/bad/redirect-to-file.jpg": Fault(_redirect("file:///etc/hostname"), Reason.BAD_URL),
    "/odd/redirect.jpg": Fault(_redirect("/jpeg/small-dawn.jpg"), None),
    "/odd/busy-twice.jpg": Fault(_busy_twice, None),
    "/odd/slow.jpg": Fault(_slow, None),
    "/odd/chunked.jpg": Fault(lambda exchange: exchange.reply_chunked(_jpeg(), "image/jpeg"), None),
    "/odd/untyped": Fault(_body(_jpeg, "application/octet-stream"), None),
}

UNREACHABLE: dict[str, Reason] = {
    "http://no-such-host.invalid/x.jpg": Reason.DNS_ERROR,
    "http://127.0.0.1:1/nobody-listens.jpg": Reason.CONNECT_ERROR,
}
