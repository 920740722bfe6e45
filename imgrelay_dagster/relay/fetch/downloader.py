"""Downloads one URL into a sink: the whole body, within the limits, or a failure with its reason."""

import random
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from imgrelay_dagster.relay.errors import Deferred, EntryFailure, Stopped
from imgrelay_dagster.relay.fetch.adaptive_timeout import Stopwatch
from imgrelay_dagster.relay.fetch.address_guard import AddressGuard
from imgrelay_dagster.relay.fetch.backoff import retry_delay
from imgrelay_dagster.relay.fetch.client import Client, Sink, Writable
from imgrelay_dagster.relay.fetch.limits import Limits
from imgrelay_dagster.relay.fetch.request_target import parse_target
from imgrelay_dagster.relay.fetch.resolver import ResolveFunction, system_resolve
from imgrelay_dagster.relay.outcomes import Reason

__all__ = ["Downloader", "FetchResult", "Limits", "Sink", "Writable"]


@dataclass(frozen=True, slots=True)
class FetchResult:
    """A body that was downloaded completely.

    `bytes_in` is its size as written to the sink. `seconds` runs from the first attempt to the last byte, with the
    pauses between attempts, without the time spent waiting for a slot at its host.
    """

    bytes_in: int
    attempts: int
    http_status: int
    seconds: float


class Downloader:
    """Downloads for all threads of a process, over shared connections.

    Args:
        limits: the limits of a download.
        guard: decides which addresses may be connected to.
        stop: once set, every call raises `Stopped` within a fraction of a second, whatever it is doing.
        rng: for the jitter of the back-off.
        resolve: resolves names.
        pause: waits the given seconds between attempts; the default returns early on `stop`.
        tls: TLS settings; None verifies certificates with certifi's and the system's certificate authorities.
    """

    def __init__(
        self,
        limits: Limits,
        guard: AddressGuard,
        *,
        stop: threading.Event,
        rng: random.Random | None = None,
        resolve: ResolveFunction = system_resolve,
        pause: Callable[[float], object] | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._limits = limits
        self._recreate = partial(Downloader, guard=guard, stop=stop, rng=rng, resolve=resolve, pause=pause, tls=tls)
        self._client = Client(limits, guard, stop=stop, resolve=resolve, tls=tls)
        self._rng = rng or random.Random()
        self._pause = pause or stop.wait

    def fetch(
        self,
        url: str,
        sink: Sink,
        *,
        defer_after: Callable[[], float] | None = None,
        previous_attempts: int = 0,
        wait: float = 0.0,
    ) -> FetchResult:
        """Download a URL, retrying transient failures.

        Args:
            url: as the manifest gives it.
            sink: called once for each attempt that receives a body.
            defer_after: returns the seconds, for all attempts and pauses together, after which the download is
                deferred; called repeatedly. None never defers it.
            previous_attempts: requests made before the download was deferred. At least one more is made. A timeout
                is then final, because this attempt had the full time limits.
            wait: seconds to wait before the first request, when a server asked for it; limited to `retry_after_cap`.

        Raises:
            EntryFailure: with the last attempt's reason, and `attempts`.
            Deferred: the download takes longer than `defer_after`; with `attempts`, and with the seconds to wait
                before the next request.
            Stopped: the run is being stopped.
        """
        stopwatch = Stopwatch(defer_after)
        target = parse_target(url)
        attempts = previous_attempts + 1
        self._wait(min(wait, self._limits.retry_after_cap))
        while True:
            try:
                status, size = self._client.get(target, sink, stopwatch)
                return FetchResult(size, attempts, status, stopwatch.seconds)
            except EntryFailure as failure:
                failure.attempts = attempts if failure.request_made else attempts - 1
                timed_out_again = previous_attempts and failure.reason is Reason.TIMEOUT
                if not failure.transient or attempts >= self._limits.attempts or timed_out_again:
                    raise
                wait = retry_delay(attempts, failure.retry_after, self._limits, self._rng)
            except Deferred as deferred:
                deferred.attempts = attempts
                raise
            if stopwatch.should_defer(wait):
                raise Deferred(attempts, wait)
            self._wait(wait)
            attempts += 1

    def _wait(self, seconds: float) -> None:
        if seconds > 0:
            self._pause(seconds)
            if self._client.stopped:
                raise Stopped

    def with_capacity(self, *, threads: int, per_host: int) -> "Downloader":
        """Return another downloader for `threads` concurrent downloads, `per_host` per host; the caller closes it."""
        return self._recreate(replace(self._limits, threads=threads, per_host=per_host))

    def close(self) -> None:
        """Close all connections; pending downloads end with `Stopped`. May be called twice."""
        self._client.close()

    def __enter__(self) -> "Downloader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
