"""What the hostile origin does on most of its paths. A route that raises nothing keeps the connection."""

from typing import Any

from tests.support.hostile_answers import (
    BODY,
    Hangup,
    answer,
    content,
    image,
    reset_connection,
    route,
    send_endlessly,
    send_slowly,
)


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
        reset_connection(request.sock)
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
    send_slowly(request, BODY * 50)


@route
def drip_headers(request: Any) -> None:
    send_slowly(request, b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 10_000)


@route
def length_too_large(request: Any) -> None:
    """Announces a terabyte and sends it as long as anybody reads."""
    request.send(answer("200 OK", b"", length=10**12))
    send_endlessly(request)


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
    reset_connection(request.sock)


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
    send_endlessly(request)


@route
def empty(request: Any) -> None:
    request.send(answer("200 OK"))


@route
def html(request: Any) -> None:
    request.send(image(b"<!doctype html><title>Sign in</title>", "image/jpeg"))


@route
def big_headers(request: Any) -> None:
    """One header line of a megabyte."""
    request.send(b"HTTP/1.1 200 OK\r\nX-Big: " + b"x" * 1_000_000 + b"\r\nContent-Length: 2\r\n\r\nok")


@route
def many_headers(request: Any) -> None:
    request.send(answer("200 OK", b"ok", *(f"X-{number}: y" for number in range(10_000))))


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
        return reset_connection(request.sock)
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
