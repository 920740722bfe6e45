"""Numbers as people read them, and what each reason means."""

import math

from imgrelay_dagster.relay.outcomes import Reason

MEANINGS: dict[Reason, str] = {
    Reason.INVALID_ENTRY: "The line cannot be read, or its key is unsafe. Mend the line.",
    Reason.BAD_URL: "Not an http or https URL with a host. Mend the URL.",
    Reason.KEY_CONFLICT: "An earlier line claims the same key for something else. Give one of them another key.",
    Reason.BLOCKED_ADDRESS: "The host is at an address that is not public. "
    "If it is one of an intranet, name it in IMGRELAY_ALLOWED_HOSTS.",
    Reason.DNS_ERROR: "The host's name has no address. Check the host name.",
    Reason.CONNECT_ERROR: "Nobody answers there, or not by the rules of HTTP. Is the server up?",
    Reason.TLS_ERROR: "The certificate is not valid for the host. Mend it, or install its authority's.",
    Reason.TIMEOUT: "Too slow: connecting, silence, or the whole download. "
    "Launch again, or raise the limits in download.",
    Reason.HTTP_STATUS: "The server refused. 404 and 410: the image is gone. 429 and 5xx: launch again later.",
    Reason.TOO_MANY_REDIRECTS: "More redirects than max_redirects, or in a circle. Mend the URL.",
    Reason.TOO_LARGE: "Larger than download.max_bytes. If the file is right, raise it and set retry_permanent.",
    Reason.TRUNCATED: "The body broke off before its end. Launch again.",
    Reason.EMPTY_BODY: "The server said all is well and sent nothing. Launch again, or ask the server's people.",
    Reason.UNSUPPORTED_FORMAT: "Not a JPEG, PNG, WebP, GIF or AVIF; often an HTML page in the place of an image.",
    Reason.TOO_MANY_PIXELS: "More pixels than download.max_pixels. If it is no bomb, raise it and set retry_permanent.",
    Reason.CORRUPT_IMAGE: "An image that cannot be decoded.",
    Reason.TEMPLATE_MISSING: "The entry's own template is not in the template folder, or broken.",
    Reason.COMPOSE_ERROR: "The result cannot be encoded. Choose another format or canvas.",
    Reason.UPLOAD_ERROR: "The store did not take the image, after retries. The detail has the store's words.",
    Reason.INTERNAL_ERROR: "A mistake in imgrelay. Please report it, with the detail.",
}
"""What happened and what to do, in a sentence or two."""


def count(number: int) -> str:
    """`10,000`."""
    return f"{number:,}"


def percent(part: float, whole: float) -> str:
    """`3.4 %`; never `0.0 %` for something, nor `100.0 %` for less than everything."""
    share = 100 * part / whole if whole else 0.0
    if 0 < share < 0.1:
        return "< 0.1 %"
    if 99.9 < share < 100:
        return "> 99.9 %"
    return f"{share:.0f} %" if share in (0, 100) else f"{share:.1f} %"


def size(number: float) -> str:
    """Bytes in decimal units: `15 kB`, `1.2 GB`."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if number < 999.5 or unit == "TB":
            break
        number /= 1000
    return f"{significant(number)} {unit}"


def seconds(number: float) -> str:
    """A duration in the unit that suits it: `12 ms`, `3.4 s`, `2 min 5 s`, `1 h 20 min`."""
    if number < 0.9995:
        return f"{significant(number * 1000)} ms" if number else "0 s"
    if number < 99.5:
        return f"{significant(number)} s"
    minutes, rest = divmod(round(number), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def significant(number: float) -> str:
    """Two figures where they tell something: `0.34`, `3.4`, `34`, `340`."""
    if number == 0:
        return "0"
    if abs(number) >= 9.95:
        return f"{number:,.0f}"
    decimals = max(0, 1 - math.floor(math.log10(abs(number))))
    return f"{number:.{decimals}f}".rstrip("0").rstrip(".") if decimals else f"{number:.0f}"
