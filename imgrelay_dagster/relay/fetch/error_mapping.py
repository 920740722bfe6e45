"""Turns what the HTTP libraries raise into reasons."""

import ssl
import traceback
from collections.abc import Iterator

from requests.exceptions import ConnectionError as RequestsConnectionError
from requests.exceptions import InvalidURL, RequestException, SSLError, Timeout
from urllib3.exceptions import HTTPError, LocationValueError, ReadTimeoutError
from urllib3.exceptions import SSLError as Urllib3SSLError

from imgrelay_dagster.relay.errors import EntryFailure
from imgrelay_dagster.relay.outcomes import Reason

HTTP_ERRORS = (RequestException, HTTPError)


def before_answer(error: Exception, host: str) -> EntryFailure:
    """Name what went wrong before the answer's headers were read.

    Details are made from the innermost cause: messages of the outer ones quote the URL.
    """
    if isinstance(error, Timeout):
        return EntryFailure(Reason.TIMEOUT, f"no answer from {host} in time", transient=True)
    if isinstance(error, InvalidURL | LocationValueError):
        return EntryFailure(Reason.BAD_URL, "host or port is malformed")
    cause = _innermost(error)
    if isinstance(error, SSLError):
        return _tls(cause, host)
    if isinstance(error, RequestsConnectionError) and isinstance(cause, OSError):
        detail = f"{host}: {cause.strerror or 'connection closed without an answer'}"
        return EntryFailure(Reason.CONNECT_ERROR, detail, transient=True)
    detail = f"{host} does not answer by the rules of HTTP ({type(cause).__name__})"
    return EntryFailure(Reason.CONNECT_ERROR, detail, transient=True)


def within_body(error: Exception, received: int) -> EntryFailure:
    """Name what went wrong while the body was read, after `received` bytes of it."""
    if isinstance(error, ReadTimeoutError | TimeoutError):
        return EntryFailure(Reason.TIMEOUT, f"silence after {received:,} bytes", transient=True)
    what = "TLS error" if isinstance(error, Urllib3SSLError) else type(_innermost(error)).__name__
    return EntryFailure(Reason.TRUNCATED, f"broken off after {received:,} bytes ({what})", transient=True)


def forget(error: Exception) -> None:
    """Let go of what the frames of a caught error hold, its connection pool above all.

    urllib3 keeps errors in local variables, so that frames and errors hold each other until the garbage
    collector comes by; sockets would stay open as long.
    """
    for cause in _causes(error):
        traceback.clear_frames(cause.__traceback__)


def _tls(cause: BaseException, host: str) -> EntryFailure:
    if isinstance(cause, ssl.SSLCertVerificationError):
        return EntryFailure(Reason.TLS_ERROR, f"certificate of {host}: {cause.verify_message}")
    dropped = isinstance(cause, ssl.SSLEOFError | ssl.SSLZeroReturnError)
    what = getattr(cause, "reason", None) or type(cause).__name__
    return EntryFailure(Reason.TLS_ERROR, f"TLS with {host} fails: {what}", transient=dropped)


def _innermost(error: BaseException) -> BaseException:
    *_, last = _causes(error)
    return last


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Walk inwards: requests and urllib3 hand the cause on as `reason` or as an argument."""
    seen: set[int] = set()
    found: BaseException | None = error
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        yield found
        inner = [getattr(found, "reason", None), *reversed(found.args), found.__cause__]
        found = next((cause for cause in inner if isinstance(cause, BaseException)), None)
