"""One attempt to fetch one URL: request, redirects, body. `downloader.py` makes the retries."""

import ipaddress
import logging
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from requests.structures import CaseInsensitiveDict
from urllib3.response import HTTPResponse

from imgrelay_dagster.relay.errors import Deferred, EntryFailure, Stopped
from imgrelay_dagster.relay.fetch.adaptive_timeout import Stopwatch
from imgrelay_dagster.relay.fetch.address_guard import AddressGuard
from imgrelay_dagster.relay.fetch.connections import (
    Request,
    discard_response,
)
from imgrelay_dagster.relay.fetch.content_encoding import create_decoder, too_large
from imgrelay_dagster.relay.fetch.dialer import Dialer
from imgrelay_dagster.relay.fetch.error_mapping import (
    HTTP_ERRORS,
    clear_traceback_frames,
    closed_without_response,
    failure_before_response,
)
from imgrelay_dagster.relay.fetch.host_limiter import HostLimiter
from imgrelay_dagster.relay.fetch.host_turns import HostTurns
from imgrelay_dagster.relay.fetch.limits import Limits
from imgrelay_dagster.relay.fetch.origin_settings import OriginRules
from imgrelay_dagster.relay.fetch.proxy_answers import proxy_failure
from imgrelay_dagster.relay.fetch.redirects import RedirectChain
from imgrelay_dagster.relay.fetch.request_target import Target, host_name
from imgrelay_dagster.relay.fetch.resolver import ResolveFunction, Resolver
from imgrelay_dagster.relay.fetch.response_body import Answer, Sink, read_chunk, status_failure
from imgrelay_dagster.relay.fetch.routes import Routes
from imgrelay_dagster.relay.fetch.validators import (
    NO_VALIDATORS,
    NOT_MODIFIED,
    conditional_headers,
    validators_of,
)
from imgrelay_dagster.relay.fetch.watchdog import Exchange, Watchdog
from imgrelay_dagster.relay.outcomes import Reason
from imgrelay_dagster.relay.redact import QueryFilter

_SUCCESS_STATUSES = frozenset({200, 203})  # RFC 9110 15.3; without a Range header, 206 is not a valid response
_REDIRECT_STATUSES = frozenset({301, 302, 303, 307, 308})  # RFC 9110 15.4; a GET stays a GET for all of them
_TICK = 0.1  # seconds between two checks for a stop while waiting for a turn
_QUERY_FILTER = QueryFilter()


class Client:
    """Fetches URLs for all threads of a process.

    It keeps no cookies, and ignores `.netrc` and proxies of the environment.

    Args:
        limits: the limits of an attempt.
        guard: decides which addresses may be connected to.
        stop: once set, every call raises `Stopped`.
        resolve: resolves names.
        tls: TLS settings; None verifies certificates with certifi's and the system's certificate authorities.
        turns: when each host may be asked.
        rules: settings of single hosts.
    """

    def __init__(
        self,
        limits: Limits,
        guard: AddressGuard,
        *,
        stop: threading.Event,
        resolve: ResolveFunction,
        tls: ssl.SSLContext | None,
        turns: HostTurns,
        rules: OriginRules,
    ) -> None:
        self._turns = turns
        self._limits = limits
        self._watchdog = Watchdog(stop)
        self._host_limiter = HostLimiter(lambda host: rules.of(host).per_host or limits.per_host)
        self._guard = guard
        dialer = Dialer(guard, Resolver(resolve), self._watchdog)
        self._routes = Routes(limits, rules, dialer, tls)
        logging.getLogger("urllib3.connectionpool").addFilter(_QUERY_FILTER)

    @property
    def stopped(self) -> bool:
        return self._watchdog.stopped

    def close(self) -> None:
        """Cancel pending requests and close all connections. May be called twice."""
        self._watchdog.close()
        self._routes.close()

    def get(
        self,
        target: Target,
        sink: Sink,
        stopwatch: Stopwatch,
        patience: float | None = None,
        validators: Mapping[str, str] = NO_VALIDATORS,
    ) -> Answer:
        """Fetch a target once, following redirects.

        The deadline covers all redirects together; the time spent waiting for a slot at a host does not count.

        Args:
            target: the URL to fetch.
            sink: receives the body of a successful response.
            stopwatch: decides when the download is deferred.
            patience: maximum seconds to wait for a turn at the target's host; None waits as long as it takes.
            validators: of the body that is known already. The answer 304 then has no body.

        Raises:
            EntryFailure: any network reason, or `corrupt_image` for a body that cannot be decompressed.
            Deferred: the download takes too long for now, or the host may not be asked yet.
            Stopped: the run is being stopped.
        """
        entry, conditions = target.url, conditional_headers(validators)
        self._take_turn(host_name(target), stopwatch, patience)
        remaining = self._limits.deadline
        chain = RedirectChain(self._limits.max_redirects)
        while True:
            with (
                self._outcome(target, entry),
                self._host_slot(target.host, stopwatch),
                self._watchdog.watch(remaining, stopwatch.should_defer) as exchange,
            ):
                request = Request(target, self._request_headers(target, chain, conditions))
                response = self._send_in(chain, request)
                try:
                    exchange.check()  # a connection that was shut down may look like the end of the headers
                    location = response.headers.get("Location") if response.status in _REDIRECT_STATUSES else None
                    if response.status == NOT_MODIFIED and conditions:
                        discard_response(response)
                        return Answer(NOT_MODIFIED, 0, {**validators, **validators_of(response.headers)})
                    if location is None:
                        size = self._read_body(response, target, exchange, sink)
                        return Answer(response.status, size, validators_of(response.headers))
                    discard_response(response)
                    target = chain.follow(request, response, location)
                except EntryFailure as failure:
                    failure.http_status = response.status
                    raise
                finally:
                    response.close()
            remaining -= exchange.seconds
            self._take_turn(host_name(target), stopwatch, None)

    @contextmanager
    def _outcome(self, target: Target, entry: str) -> Iterator[None]:
        """Record whether a host answers a request, and how."""
        name = host_name(target)
        try:
            yield
        except EntryFailure as failure:
            failure.excused = self._turns.failed(name, entry, failure)
            if failure.unreachable:
                failure.add(self._routes.proxy_note(target))
            raise
        self._turns.answered(name, entry)

    def _take_turn(self, name: str, stopwatch: Stopwatch, patience: float | None) -> None:
        with stopwatch.paused():
            wait = self._turns.wait_for(name)
            started = time.monotonic()
            while wait:
                waited = time.monotonic() - started
                if patience is not None and waited + wait > patience:
                    raise Deferred(cause="busy")
                time.sleep(min(wait, _TICK))
                self._check_stopped()
                wait = self._turns.wait_for(name)

    def _send_in(self, chain: RedirectChain, request: Request) -> HTTPResponse:
        try:
            return self._send(request)
        except EntryFailure as failure:
            failure.request_made = failure.reason is not Reason.BLOCKED_ADDRESS or chain.followed
            raise

    def _request_headers(
        self, target: Target, chain: RedirectChain, conditions: Mapping[str, str]
    ) -> CaseInsensitiveDict[str]:
        """The headers of a request: those of every request, credentials for this origin, cookies of this chain.

        Conditions are part of each request of a chain: a redirect ignores them (RFC 9110 13.2.1).
        """
        cookie = chain.cookie_header(target)
        if target.authorization is None and cookie is None and not conditions:
            return self._routes.headers(target)
        headers = self._routes.headers(target).copy()
        headers.update(conditions)
        if target.authorization is not None:
            headers["Authorization"] = target.authorization
        if cookie is not None:
            headers["Cookie"] = cookie
        return headers

    @contextmanager
    def _host_slot(self, host: str, stopwatch: Stopwatch) -> Iterator[None]:
        requested = time.monotonic()
        with self._host_limiter.slot(host, self._check_stopped):
            stopwatch.exclude(time.monotonic() - requested)
            yield

    def _check_stopped(self) -> None:
        if self.stopped:
            raise Stopped

    def _send(self, request: Request) -> HTTPResponse:
        """Send a request; return its response, with the body still to be read.

        A server may close a kept connection at any moment, also while the next request is on its way (RFC 9112 9.3.1).
        Such a request is repeated at once over a new connection, and is not counted as an attempt.
        """
        timeout = (self._limits.connect_timeout, self._limits.read_timeout)
        exchange = self._watchdog.current
        adapter, proxies = self._routes.adapter(request.target), self._routes.proxies(request.target)
        if proxies:
            self._check_literal(request.target.host)
        while True:
            try:
                raw: HTTPResponse = adapter.send(request, stream=True, timeout=timeout, proxies=proxies).raw
            except HTTP_ERRORS as error:
                failure = failure_before_response(error, request.target.host, self._routes.proxy_name(request.target))
                closed = failure.closed = closed_without_response(error)
                clear_traceback_frames(error)
            else:
                return raw
            if not (closed and exchange.connection_reused):
                break
            exchange.check()
            exchange.may_reuse = False
        # Raised outside of `except`, so that it has no context: a traceback would show the URLs that messages quote.
        raise failure

    def _check_literal(self, host: str) -> None:
        """Check a host that is an address: behind a proxy nothing else can be checked, because the proxy resolves."""
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return
        self._guard.filter_permitted(host, [str(address)])

    def _read_body(self, response: HTTPResponse, target: Target, exchange: Exchange, sink: Sink) -> int:
        """Stream a response's body into a newly opened sink; return its size in bytes."""
        if response.status not in _SUCCESS_STATUSES:
            discard_response(response)
            proxy = self._routes.proxy_name(target)
            is_tunnel = target.origin[0] == "https"
            refused = proxy_failure(response, target.host, proxy, is_tunnel=is_tunnel) if proxy is not None else None
            raise refused or status_failure(response, target.host)
        limit = self._limits.max_bytes
        if (response.length_remaining or 0) > limit:
            raise too_large(response.length_remaining, limit)
        decoder = create_decoder(response.headers.get("Content-Encoding"), limit)
        received = size = 0
        with sink() as body:
            while data := read_chunk(response, received):
                received += len(data)
                for chunk in decoder.feed(data) if decoder else (data,):
                    size += len(chunk)
                    if max(received, size) > limit:
                        raise too_large(None, limit)
                    body.write(chunk)
            exchange.check()  # a connection that was shut down may look like the end of the body
            if decoder:
                decoder.finish()
            if size == 0:
                raise EntryFailure(Reason.EMPTY_BODY, f"{target.host} returned an empty body")
        return size
