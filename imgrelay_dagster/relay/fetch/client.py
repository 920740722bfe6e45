"""One try at one URL: request, redirects, body. Retries are `download.py`'s matter."""

import logging
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Protocol

from requests.models import PreparedRequest
from requests.structures import CaseInsensitiveDict
from urllib3.response import HTTPResponse

from imgrelay_dagster.relay.errors import EntryFailure, Stopped
from imgrelay_dagster.relay.fetch.adaptive_timeout import Stopwatch
from imgrelay_dagster.relay.fetch.address_guard import AddressGuard
from imgrelay_dagster.relay.fetch.backoff import retry_after, transient_status
from imgrelay_dagster.relay.fetch.connections import WatchedAdapter, continues, discard, tls_context
from imgrelay_dagster.relay.fetch.content_encoding import inflater
from imgrelay_dagster.relay.fetch.dialer import Dialer
from imgrelay_dagster.relay.fetch.error_mapping import HTTP_ERRORS, before_answer, forget, within_body
from imgrelay_dagster.relay.fetch.host_limiter import HostTurns
from imgrelay_dagster.relay.fetch.limits import Limits
from imgrelay_dagster.relay.fetch.request_target import Target, follow
from imgrelay_dagster.relay.fetch.resolver import Lookup, Resolve
from imgrelay_dagster.relay.fetch.watchdog import Exchange, Watchdog
from imgrelay_dagster.relay.outcomes import Reason
from imgrelay_dagster.relay.redact import QueryFilter

_PIECE = 64 * 1024  # bytes read at a time
_WITH_IMAGE = frozenset({200, 203})  # RFC 9110 15.3: no range was asked for, so 206 is no answer to it
_REDIRECT = frozenset({301, 302, 303, 307, 308})  # RFC 9110 15.4; a GET stays a GET in all of them
_QUERY_FILTER = QueryFilter()


class Writable(Protocol):
    """Takes the body, in pieces of at most 64 KiB."""

    def write(self, data: bytes, /) -> object: ...


Sink = Callable[[], AbstractContextManager[Writable]]
"""Opens a fresh place for a body. Left without exception it holds a whole body; left with one, nothing."""


class Client:
    """Asks hosts for images, for all threads of a process. No cookies, no environment, no `.netrc`.

    Args:
        limits: what a try may cost.
        guard: which addresses may be connected to.
        stop: once set, every call raises `Stopped`.
        resolve: looks names up.
        tls: TLS settings; None verifies by certifi's and the system's authorities.
    """

    def __init__(
        self,
        limits: Limits,
        guard: AddressGuard,
        *,
        stop: threading.Event,
        resolve: Resolve,
        tls: ssl.SSLContext | None,
    ) -> None:
        self._limits = limits
        self._watchdog = Watchdog(stop)
        self._turns = HostTurns(limits.per_host)
        dialer = Dialer(guard, Lookup(resolve), self._watchdog)
        self._adapter = WatchedAdapter(dialer, limits.threads, limits.per_host, tls or tls_context())
        self._proxies = {"http": limits.proxy, "https": limits.proxy} if limits.proxy else None
        self._headers: CaseInsensitiveDict[str] = CaseInsensitiveDict(
            {"User-Agent": limits.user_agent, "Accept": "*/*", "Accept-Encoding": "identity"}
        )
        logging.getLogger("urllib3.connectionpool").addFilter(_QUERY_FILTER)

    @property
    def stopped(self) -> bool:
        return self._watchdog.stopped

    def close(self) -> None:
        """Cut what is under way and close all connections. May be called twice."""
        self._watchdog.close()
        self._adapter.close()

    def get(self, target: Target, sink: Sink, watch: Stopwatch) -> tuple[int, int]:
        """Fetch a target once, following redirects.

        The deadline is for all hops together; waiting for a turn at a host does not count.

        Args:
            watch: says when the try is to be set aside.

        Returns:
            The final status and the size of the body in bytes.

        Raises:
            EntryFailure: any reason of the network, or `corrupt_image` for a body that cannot be decoded.
            SetAside: it is.
            Stopped: the run is to stop.
        """
        left = self._limits.deadline
        seen = {target.url}
        while True:
            with self._turn(target.host, watch), self._watchdog.watch(left, watch.out_of_patience) as exchange:
                answer = self._ask(target)
                try:
                    exchange.check()  # what was cut may look like the end of the headers
                    location = answer.headers.get("Location") if answer.status in _REDIRECT else None
                    if location is None:
                        return answer.status, self._take(answer, target.host, exchange, sink)
                    discard(answer)
                    target = self._follow(target, location, seen)
                except EntryFailure as failure:
                    failure.http_status = answer.status
                    raise
                finally:
                    answer.close()
            left -= time.monotonic() - exchange.started

    def _follow(self, target: Target, location: str, seen: set[str]) -> Target:
        """Where a redirect leads, added to the URLs seen before."""
        if len(seen) > self._limits.max_redirects:
            detail = f"more than {self._limits.max_redirects} redirects"
            raise EntryFailure(Reason.TOO_MANY_REDIRECTS, detail)
        target = follow(target, location)
        if target.url in seen:  # without cookies the same request gets the same answer
            raise EntryFailure(Reason.TOO_MANY_REDIRECTS, "the redirects go round in a circle")
        seen.add(target.url)
        return target

    @contextmanager
    def _turn(self, host: str, watch: Stopwatch) -> Iterator[None]:
        asked = time.monotonic()
        with self._turns.at(host, self._go_on):
            watch.leave_out(time.monotonic() - asked)
            yield

    def _go_on(self) -> None:
        if self.stopped:
            raise Stopped

    def _ask(self, target: Target) -> HTTPResponse:
        request = PreparedRequest()
        request.method, request.url, request.headers = "GET", target.url, self._headers
        if target.authorization is not None:
            request.headers = self._headers.copy()
            request.headers["Authorization"] = target.authorization
        timeout = (self._limits.connect_timeout, self._limits.read_timeout)
        try:
            raw: HTTPResponse = self._adapter.send(request, stream=True, timeout=timeout, proxies=self._proxies).raw
        except HTTP_ERRORS as error:
            failure = before_answer(error, target.host)
            forget(error)
        else:
            return raw
        raise failure  # out here it has no context: a traceback would show the URLs that messages quote

    def _take(self, answer: HTTPResponse, host: str, exchange: Exchange, sink: Sink) -> int:
        """Stream an answer's body into a fresh sink; return its size."""
        if answer.status not in _WITH_IMAGE:
            discard(answer)
            raise _status_failure(answer, host)
        most = self._limits.max_bytes
        if (answer.length_remaining or 0) > most:
            raise _too_large(answer.length_remaining, most)
        decoder = inflater(answer.headers.get("Content-Encoding"))
        received = size = 0
        with sink() as body:
            while data := _read(answer, received):
                received += len(data)
                for piece in decoder.feed(data) if decoder else (data,):
                    size += len(piece)
                    if max(received, size) > most:
                        raise _too_large(None, most)
                    body.write(piece)
            exchange.check()  # what was cut may look like the end of the body
            if decoder:
                decoder.finish()
            if size == 0:
                raise EntryFailure(Reason.EMPTY_BODY, f"{host} answers without a body")
        return size


def _read(answer: HTTPResponse, received: int) -> bytes:
    left = answer.length_remaining
    if left == 0 and received:
        return b""
    try:
        if left == 1 and continues(answer):
            detail = f"the body goes on beyond the {received + 1:,} bytes of its Content-Length"
            raise EntryFailure(Reason.TRUNCATED, detail, transient=True)
        piece = _PIECE if left is None else min(_PIECE, max(1, left - 1))
        return answer.read1(piece, decode_content=False)
    except (*HTTP_ERRORS, OSError) as error:
        failure = within_body(error, received)
        forget(error)
    raise failure


def _status_failure(answer: HTTPResponse, host: str) -> EntryFailure:
    try:
        phrase = f" {HTTPStatus(answer.status).phrase}"
    except ValueError:
        phrase = ""
    return EntryFailure(
        Reason.HTTP_STATUS,
        f"{host} answers {answer.status}{phrase}",
        transient=transient_status(answer.status),
        retry_after=retry_after(answer.headers.get("Retry-After"), datetime.now(UTC)),
    )


def _too_large(length: int | None, most: int) -> EntryFailure:
    size = "the body" if length is None else f"{length:,} bytes"
    return EntryFailure(Reason.TOO_LARGE, f"{size} exceeds the limit of {most:,} bytes")
