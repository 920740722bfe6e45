"""Answers that a proxy gives in place of the host: how they are told, and the failures that name the proxy."""

import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from http import HTTPStatus

from urllib3.response import HTTPResponse

from imgrelay_dagster.relay.errors import EntryFailure
from imgrelay_dagster.relay.fetch.backoff import is_transient_status, parse_retry_after
from imgrelay_dagster.relay.outcomes import Reason

PROXY_ADVICE = {
    407: "check the user and the password in the setting `proxy`",
    403: "allow the host and its port in the proxy's rules, or set another `proxy`",
}
"""What to do about a status that a proxy answers itself."""

_SQUID_ERROR = re.compile(r"ERR_[A-Z_]{1,40}\b")
_PROXY_STATUS_ERROR = re.compile(r";\s*error\s*=\s*([a-z_]{1,40})\b")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')


def proxy_failure(response: HTTPResponse, host: str, proxy: str, *, is_tunnel: bool) -> EntryFailure | None:
    """The failure of a response that the proxy itself gave; None if the host may have given it.

    Args:
        host: the host of the URL.
        proxy: host and port of the proxy, without user and password.
        is_tunnel: the proxy sees only encrypted data, so only 407 counts, which no host sends (RFC 9110 15.5.8).
    """
    status = response.status
    cause = None if is_tunnel else _own_cause(response.headers)
    if cause is None and status != HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return None
    shown = f" ({cause})" if cause else ""
    advice = f"; {PROXY_ADVICE[status]}" if status in PROXY_ADVICE else ""
    return EntryFailure(
        Reason.HTTP_STATUS,
        f"the proxy {proxy} returned {status_text(status)} in place of {host}{shown}{advice}",
        transient=is_transient_status(status),
        retry_after=parse_retry_after(response.headers.get("Retry-After"), datetime.now(UTC)),
    )


def _own_cause(headers: Mapping[str, str]) -> str | None:
    """The cause that a proxy names in its own answer, "" if it names none; None if the answer may be the host's.

    A host may stand behind proxies of its own. If its answer came through two or more, it may be one of theirs.
    """
    if "Proxy-Authenticate" in headers:  # belongs to the connection to the proxy (RFC 9110 11.7.1)
        return ""
    hops = len(_members(headers.get("Via", "")))
    if hops <= 1 and "X-Squid-Error" in headers:
        found = _SQUID_ERROR.match(headers["X-Squid-Error"].strip())
        return found[0] if found else ""
    last = _members(headers.get("Proxy-Status", ""))[-1:]  # the proxy next to the client (RFC 9209 2)
    error = _PROXY_STATUS_ERROR.search(last[0]) if last and hops == 1 else None
    return error[1] if error else None


def _members(value: str) -> list[str]:
    """The members of a list in a header, without quoted texts, which may contain commas."""
    return [member for member in map(str.strip, _QUOTED.sub("", value).split(",")) if member]


def status_text(status: int) -> str:
    """A status with its usual phrase, such as `403 Forbidden`."""
    with suppress(ValueError):
        return f"{status} {HTTPStatus(status).phrase}"
    return str(status)
