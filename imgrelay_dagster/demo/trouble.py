"""What goes wrong with real URLs, one path each, and the reason that imgrelay should give for it."""

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
    """One request, as a trouble sees it: how often its target was asked for (from 1), and how to reply."""

    visit: int

    def reply(
        self,
        body: bytes = b"",
        media_type: str = "text/plain; charset=utf-8",
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        announce: int | None = None,
    ) -> None:
        """Sends a response; `announce` is a false Content-Length, after which the connection closes."""

    def reply_chunked(self, body: bytes, media_type: str) -> None:
        """Sends a response of unknown length, in chunks."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """One awkward URL. `reason` is None where the image arrives all the same."""

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
    exchange.reply(body[: len(body) // 2], "image/jpeg", announce=len(body))


def corrupt_jpeg() -> bytes:
    """A JPEG with a good header whose Huffman tables are nonsense."""
    body = bytearray(_jpeg())
    table = body.index(b"\xff\xc4")
    body[table + 5 : table + 21] = b"\xff" * 16
    return bytes(body)


def half_jpeg() -> bytes:
    """The first half of a JPEG, as if its upload to the origin had been cut off."""
    return _jpeg()[: len(_jpeg()) // 2]


def bomb_png(side: int = 50_000) -> bytes:
    """A PNG of under 100 bytes whose header announces `side` x `side` pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(16))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


TROUBLES: dict[str, Trouble] = {
    "/bad/not-found.jpg": Trouble(_status(404), Reason.HTTP_STATUS),
    "/bad/gone.jpg": Trouble(_status(410), Reason.HTTP_STATUS),
    "/bad/forbidden.jpg": Trouble(_status(403), Reason.HTTP_STATUS),
    "/bad/server-error.jpg": Trouble(_status(500), Reason.HTTP_STATUS),
    "/bad/sign-in-page.jpg": Trouble(_body(lambda: HTML), Reason.UNSUPPORTED_FORMAT),
    "/bad/readme.txt": Trouble(_body(lambda: b"just text\n", "text/plain"), Reason.UNSUPPORTED_FORMAT),
    "/bad/drawing.svg": Trouble(_body(lambda: SVG, "image/svg+xml"), Reason.UNSUPPORTED_FORMAT),
    "/bad/truncated.jpg": Trouble(_truncated, Reason.TRUNCATED),
    "/bad/corrupt.jpg": Trouble(_body(corrupt_jpeg), Reason.CORRUPT_IMAGE),
    "/bad/half.jpg": Trouble(_body(half_jpeg), Reason.CORRUPT_IMAGE),
    "/bad/empty.jpg": Trouble(_body(bytes), Reason.EMPTY_BODY),
    "/bad/pixel-bomb.png": Trouble(_body(bomb_png, "image/png"), Reason.TOO_MANY_PIXELS),
    "/bad/huge.jpg": Trouble(lambda e: e.reply(_jpeg(), "image/jpeg", announce=50 * 2**30), Reason.TOO_LARGE),
    "/bad/redirect-loop.jpg": Trouble(_redirect("/bad/redirect-loop.jpg"), Reason.TOO_MANY_REDIRECTS),
    "/bad/redirect-to-private.jpg": Trouble(_redirect("http://169.254.169.254/x.jpg"), Reason.BLOCKED_ADDRESS),
    "/bad/redirect-to-file.jpg": Trouble(_redirect("file:///etc/hostname"), Reason.BAD_URL),
    "/odd/redirect.jpg": Trouble(_redirect("/jpeg/small-dawn.jpg"), None),
    "/odd/busy-twice.jpg": Trouble(_busy_twice, None),
    "/odd/slow.jpg": Trouble(_slow, None),
    "/odd/chunked.jpg": Trouble(lambda exchange: exchange.reply_chunked(_jpeg(), "image/jpeg"), None),
    "/odd/untyped": Trouble(_body(_jpeg, "application/octet-stream"), None),
}

ELSEWHERE: dict[str, Reason] = {
    "http://no-such-host.invalid/x.jpg": Reason.DNS_ERROR,
    "http://127.0.0.1:1/nobody-listens.jpg": Reason.CONNECT_ERROR,
}
