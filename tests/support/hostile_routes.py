"""What the hostile origin does on each of its paths. A route that raises nothing keeps the connection."""

import gzip
import socket
import struct
import zlib
from collections.abc import Callable
from functools import cache
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


@route
def status(request: Any) -> None:
    """/status/404: that status; any unknown path is a 404."""
    code = request.rest if request.path.startswith("/status/") else "404"
    body = b"" if code in {"204", "304"} else b"no"
    request.send(answer(f"{code} Whatever", body))


@route
def flaky(request: Any) -> None:
    """/flaky/2/x.jpg: 503 for the first two requests of this path, then the image."""
    failures = int(request.rest.partition("/")[0])
    if request.origin.hits[request.path] <= failures:
        return request.send(answer("503 Service Unavailable", b"busy"))
    return request.send(image(content(request), "image/jpeg"))


@route
def flaky_reset(request: Any) -> None:
    """/flaky-reset/1/x.jpg: the connection is reset for the first request, then the image."""
    failures = int(request.rest.partition("/")[0])
    if request.origin.hits[request.path] <= failures:
        _reset(request.sock)
    request.send(image(content(request), "image/jpeg"))


@route
def retry_after(request: Any) -> None:
    """/retry-after/3/x.jpg: 429 with this Retry-After once, then the image; a date is given with blanks encoded."""
    if request.origin.hits[request.path] == 1:
        asked = request.rest.partition("/")[0]
        return request.send(answer("429 Too Many Requests", b"", f"Retry-After: {asked}"))
    return request.send(image(content(request), "image/jpeg"))


@route
def latency(request: Any) -> None:
    """/latency/50/x.jpg: the image, after so many milliseconds."""
    request.wait(int(request.rest.partition("/")[0]) / 1000)
    request.send(image(content(request), "image/jpeg"))


@route
def never(request: Any) -> None:
    """Nothing is answered."""
    request.wait(3600)


@route
def headers_then_hang(request: Any) -> None:
    request.send(answer("200 OK", b"", length=2000))
    request.wait(3600)


@route
def drip(request: Any) -> None:
    """Ten bytes a second."""
    request.send(answer("200 OK", b"", length=100_000))
    _drip(request, BODY * 50)


@route
def drip_headers(request: Any) -> None:
    _drip(request, b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 10_000)


@route
def drip_location(request: Any) -> None:
    """A redirect to a name that never ends."""
    _drip(request, b"HTTP/1.1 302 Found\r\nLocation: /elsewhere/" + b"x" * 10_000, head=50)


@route
def drip_redirect(request: Any) -> None:
    """A redirect whose headers come quickly and whose body never ends."""
    request.send(answer("302 Found", b"", "Location: /drip-redirect/again", length=100))
    _drip(request, BODY)


@route
def length_too_large(request: Any) -> None:
    """Announces a terabyte and sends it as long as anybody reads."""
    request.send(answer("200 OK", b"", length=10**12))
    _flood(request)


@route
def length_too_small(request: Any) -> None:
    """Announces 100 bytes and sends more."""
    request.send(answer("200 OK", content(request), "Connection: close", length=100))
    raise Hangup


@route
def another_answer_behind(request: Any) -> None:
    """The image, and behind it on the same connection an answer that nobody asked for."""
    request.send(image(content(request), "image/jpeg") + answer("404 Not Found", b"not your answer"))


@route
def close_mid_body(request: Any) -> None:
    request.send(answer("200 OK", BODY, length=100_000))
    raise Hangup


@route
def reset_mid_body(request: Any) -> None:
    request.send(answer("200 OK", BODY, length=100_000))
    request.wait(0.05)
    _reset(request.sock)


@route
def no_length(request: Any) -> None:
    """A whole body that ends with the connection."""
    request.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + content(request))
    raise Hangup


@route
def no_length_then_hang(request: Any) -> None:
    request.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + BODY)
    request.wait(3600)


@route
def endless(request: Any) -> None:
    """A body without length that never ends, at full speed."""
    request.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
    _flood(request)


@route
def empty(request: Any) -> None:
    request.send(answer("200 OK"))


@route
def html(request: Any) -> None:
    request.send(image(b"<!doctype html><title>Sign in</title>", "image/jpeg"))


@route
def redirect(request: Any) -> None:
    """/redirect/3/x.jpg: three redirects, then the image; ?code=307 chooses the status."""
    left, _, name = request.rest.partition("/")
    if int(left) == 0:
        return request.send(image(content(request), "image/jpeg"))
    code = request.query.get("code", "302")
    location = f"Location: ../{int(left) - 1}/{name or 'x'}?code={code}"
    return request.send(answer(f"{code} Found", b"moved", location))


@route
def redirect_loop(request: Any) -> None:
    request.send(answer("301 Moved Permanently", b"", "Location: /redirect-loop"))


@route
def redirect_to(request: Any) -> None:
    """/redirect-to?u=http://elsewhere/."""
    request.send(answer("302 Found", b"", "Location: " + request.query["u"]))


@route
def redirect_nowhere(request: Any) -> None:
    """A redirect without Location."""
    request.send(answer("302 Found", b""))


@route
def redirect_endless(request: Any) -> None:
    """A redirect to /redirect/0/x whose body never ends."""
    request.send(b"HTTP/1.1 302 Found\r\nLocation: /redirect/0/x\r\nConnection: close\r\n\r\n")
    _flood(request)


@route
def gzipped(request: Any) -> None:
    request.send(answer("200 OK", gzip.compress(content(request)), "Content-Encoding: gzip"))


@route
def deflated(request: Any) -> None:
    """/deflated/zlib/x or /deflated/raw/x: what the RFC means, and what some servers send."""
    packed = zlib.compress(content(request))
    body = packed[2:-4] if request.rest.startswith("raw") else packed
    request.send(answer("200 OK", body, "Content-Encoding: deflate"))


@route
def gzip_cut(request: Any) -> None:
    request.send(answer("200 OK", gzip.compress(BODY)[:-12], "Content-Encoding: gzip"))


@route
def gzip_lie(request: Any) -> None:
    """Says gzip, sends plain bytes."""
    request.send(answer("200 OK", BODY, "Content-Encoding: gzip"))


@route
def encoding(request: Any) -> None:
    """/encoding/aws-chunked/x.jpg: a plain image under that Content-Encoding."""
    name = request.rest.partition("/")[0]
    request.send(answer("200 OK", content(request), f"Content-Encoding: {name}"))


@route
def gzip_bomb(request: Any) -> None:
    """About 100 KB that decompress to 100 MB; ?layers=2 packs them once more."""
    body = _bomb()
    if request.query.get("layers") == "2":
        return request.send(answer("200 OK", gzip.compress(body), "Content-Encoding: gzip, gzip"))
    return request.send(answer("200 OK", body, "Content-Encoding: gzip"))


@route
def big_headers(request: Any) -> None:
    """One header line of a megabyte."""
    request.send(b"HTTP/1.1 200 OK\r\nX-Big: " + b"x" * 1_000_000 + b"\r\nContent-Length: 2\r\n\r\nok")


@route
def many_headers(request: Any) -> None:
    request.send(answer("200 OK", b"ok", *(f"X-{number}: y" for number in range(10_000))))


@route
def chunked(request: Any) -> None:
    """The image in chunks of 1,000 bytes."""
    body = content(request)
    pieces = [body[start : start + 1000] for start in range(0, len(body), 1000)]
    request.send(_CHUNKED + b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces))
    request.send(b"0\r\n\r\n")


@route
def chunked_broken(request: Any) -> None:
    request.send(_CHUNKED + b"5\r\nhello\r\nnonsense\r\n")
    raise Hangup


@route
def chunked_cut(request: Any) -> None:
    request.send(_CHUNKED + b"5\r\nhello\r\n")
    raise Hangup


@route
def lengths_differ(request: Any) -> None:
    request.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc")


@route
def not_http(request: Any) -> None:
    request.send(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
    raise Hangup


@route
def hang_up(request: Any) -> None:
    """Closes without an answer."""
    raise Hangup


@route
def once_a_connection(request: Any) -> None:
    """/once-a-connection/reset/x.jpg: the image for the first request of a connection; for the second it is reset."""
    if request.number == 1:
        return request.send(image(content(request), "image/jpeg"))
    if request.rest.startswith("reset/"):
        return _reset(request.sock)
    raise Hangup


@route
def raw(request: Any) -> None:
    """/raw?hex=485454...: exactly these bytes, then the end."""
    request.send(bytes.fromhex(request.query["hex"]))
    raise Hangup


@route
def interim(request: Any) -> None:
    """/interim/103/x.jpg: an answer of 1xx, a moment later the final one with the image."""
    request.send(f"HTTP/1.1 {request.rest.partition('/')[0]} Whatever\r\nLink: </style.css>\r\n\r\n".encode())
    request.wait(0.2)
    request.send(image(content(request), "image/jpeg"))


@route
def interim_endless(request: Any) -> None:
    while not request.origin.closing.is_set():
        request.send(b"HTTP/1.1 102 Processing\r\n\r\n")
    raise Hangup


@route
def cookie(request: Any) -> None:
    request.send(answer("200 OK", BODY, "Set-Cookie: session=secret; Path=/"))


@route
def cookie_redirect(request: Any) -> None:
    """/cookie-redirect/x.jpg: sets a cookie, redirects to the same path, and gives the image with the cookie only."""
    if "seen=1" in request.headers.get("cookie", ""):
        return request.send(image(content(request), "image/jpeg"))
    return request.send(answer("302 Found", b"", f"Location: {request.path}", "Set-Cookie: seen=1; Path=/"))


@route
def odd_headers(request: Any) -> None:
    """The image behind header lines that are none."""
    body = content(request)
    request.send(
        b"HTTP/1.1 200 OK\r\nX-Odd : 1\r\nX Odd: 2\r\nno colon\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    )


@route
def wants(request: Any) -> None:
    """/wants/x-partner/x.jpg: the image if that header is sent, otherwise 403."""
    name = request.rest.partition("/")[0]
    request.send(image(content(request), "image/jpeg") if name in request.headers else answer("403 Forbidden"))


@route
def cookie_loop(request: Any) -> None:
    """A cookie and a redirect, whatever is sent."""
    request.send(answer("302 Found", b"", f"Location: {request.path}", "Set-Cookie: seen=1; Path=/"))


_CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def _drip(request: Any, data: bytes, head: int = 0) -> None:
    request.send(data[:head])
    for start in range(head, len(data)):
        request.send(data[start : start + 1])
        request.wait(0.1)


def _flood(request: Any) -> None:
    """Send until the client goes away."""
    block = b"x" * 65536
    while not request.origin.closing.is_set():
        request.send(block)
    raise Hangup


def _reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    raise Hangup


@cache
def _bomb() -> bytes:
    return gzip.compress(bytes(5_000_000)) * 20  # RFC 1952 2.2: members may follow each other
