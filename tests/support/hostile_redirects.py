"""Routes of the hostile origin that redirect or set cookies."""

from typing import Any

from tests.support.hostile_answers import BODY, answer, content, image, route, send_endlessly, send_slowly


@route
def drip_location(request: Any) -> None:
    """A redirect to a name that never ends."""
    send_slowly(request, b"HTTP/1.1 302 Found\r\nLocation: /elsewhere/" + b"x" * 10_000, head=50)


@route
def drip_redirect(request: Any) -> None:
    """A redirect whose headers come quickly and whose body never ends."""
    request.send(answer("302 Found", b"", "Location: /drip-redirect/again", length=100))
    send_slowly(request, BODY)


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
    send_endlessly(request)


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
def cookie_loop(request: Any) -> None:
    """A cookie and a redirect, whatever is sent."""
    request.send(answer("302 Found", b"", f"Location: {request.path}", "Set-Cookie: seen=1; Path=/"))
