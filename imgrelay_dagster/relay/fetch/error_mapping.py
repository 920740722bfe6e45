"""Maps exceptions of the HTTP libraries to reasons."""

import re
import ssl
import traceback
from collections.abc import Iterator

from requests.exceptions import ConnectionError as RequestsConnectionError
from requests.exceptions import InvalidURL, RequestException, SSLError, Timeout
from urllib3.exceptions import HTTPError, LocationValueError, ReadTimeoutError
from urllib3.exceptions import SSLError as Urllib3SSLError

from imgrelay_dagster.relay.errors import EntryFailure
from imgrelay_dagster.relay.fetch.backoff import is_transient_status
from imgrelay_dagster.relay.fetch.proxy_answers import PROXY_ADVICE, status_text
from imgrelay_dagster.relay.fetch.response_head import InvalidHead
from imgrelay_dagster.relay.outcomes import Reason

HTTP_ERRORS = (RequestException, HTTPError)

_REFUSED_TUNNEL = re.compile(r"Tunnel connection failed: (\d{3})\b")  # http.client, `_tunnel`


def failure_before_response(error: Exception, host: str, proxy: str | None = None) -> EntryFailure:
    """Return the failure for an error raised before the response's headers were read.

    The detail is built from the root cause, because the messages of the outer exceptions quote the URL.

    Args:
        proxy: the name of the proxy through which the host is asked.
    """
    refused = _REFUSED_TUNNEL.match(str(_root_cause(error)))
    if proxy is not None and refused is not None:
        return _refused_tunnel(int(refused[1]), host, proxy)
    failure = _failure_of_host(error, host)
    if proxy is not None:
        failure.add(f" (through the proxy {proxy})")
    return failure


def _refused_tunnel(status: int, host: str, proxy: str) -> EntryFailure:
    advice = f"; {PROXY_ADVICE[status]}" if status in PROXY_ADVICE else ""
    detail = f"the proxy {proxy} answered {status_text(status)} to CONNECT {host}{advice}"
    return EntryFailure(Reason.CONNECT_ERROR, detail, transient=is_transient_status(status))


def _failure_of_host(error: Exception, host: str) -> EntryFailure:
    if isinstance(error, Timeout):
        return EntryFailure(Reason.TIMEOUT, f"no response from {host} within the time limit", transient=True)
    if isinstance(error, InvalidURL | LocationValueError):
        return EntryFailure(Reason.BAD_URL, "host or port is malformed")
    cause = _root_cause(error)
    if isinstance(error, SSLError):
        return _tls_failure(cause, host)
    if isinstance(error, RequestsConnectionError) and isinstance(cause, OSError):
        detail = f"{host}: {cause.strerror or 'connection closed without a response'}"
        return EntryFailure(Reason.CONNECT_ERROR, detail, transient=True)
    if isinstance(cause, InvalidHead):
        return EntryFailure(Reason.CONNECT_ERROR, f"{host} sent {cause}", transient=True)
    detail = f"{host} sent an invalid HTTP response ({type(cause).__name__})"
    return EntryFailure(Reason.CONNECT_ERROR, detail, transient=True)


def closed_without_response(error: Exception) -> bool:
    """Whether the connection was closed before the first byte of a response, or while the request was sent."""
    closed = ConnectionResetError | ConnectionAbortedError | BrokenPipeError | ssl.SSLEOFError | ssl.SSLZeroReturnError
    return isinstance(_root_cause(error), closed)


def failure_in_body(error: Exception, received: int) -> EntryFailure:
    """Return the failure for an error raised while reading the body, after `received` bytes of it."""
    if isinstance(error, ReadTimeoutError | TimeoutError):
        return EntryFailure(Reason.TIMEOUT, f"no data for too long after {received:,} bytes", transient=True)
    cause = "TLS error" if isinstance(error, Urllib3SSLError) else type(_root_cause(error)).__name__
    return EntryFailure(Reason.TRUNCATED, f"the body broke off after {received:,} bytes ({cause})", transient=True)


def clear_traceback_frames(error: Exception) -> None:
    """Clear the local variables that a caught error's traceback keeps alive, above all its connection pool.

    urllib3 stores errors in local variables, so frames and errors refer to each other. Without this call the sockets
    would stay open until the next garbage collection.
    """
    for cause in _cause_chain(error):
        traceback.clear_frames(cause.__traceback__)


def _tls_failure(cause: BaseException, host: str) -> EntryFailure:
    if isinstance(cause, ssl.SSLCertVerificationError):
        return EntryFailure(Reason.TLS_ERROR, f"certificate of {host}: {cause.verify_message}")
    closed = isinstance(cause, ssl.SSLEOFError | ssl.SSLZeroReturnError)
    error = getattr(cause, "reason", None) or type(cause).__name__
    return EntryFailure(Reason.TLS_ERROR, f"TLS with {host} failed: {error}", transient=closed)


def _root_cause(error: BaseException) -> BaseException:
    *_, last = _cause_chain(error)
    return last


def _cause_chain(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and its causes, outermost first.

    requests and urllib3 store a cause in the attribute `reason` or in the arguments.
    """
    visited: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in visited:
        visited.add(id(current))
        yield current
        candidates = [getattr(current, "reason", None), *reversed(current.args), current.__cause__]
        current = next((cause for cause in candidates if isinstance(cause, BaseException)), None)
