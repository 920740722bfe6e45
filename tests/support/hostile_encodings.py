"""Routes of the hostile origin that compress their body or send it in chunks."""

import gzip
import zlib
from functools import cache
from typing import Any

from tests.support.hostile_answers import BODY, Hangup, answer, content, route

_CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


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


@cache
def _bomb() -> bytes:
    return gzip.compress(bytes(5_000_000)) * 20  # RFC 1952 2.2: members may follow each other
