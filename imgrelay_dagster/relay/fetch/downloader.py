"""Fetches one URL into a sink: the whole body, within its limits, or a reason why not."""

import random
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from imgrelay_dagster.relay.errors import Deferred, EntryFailure, Stopped
from imgrelay_dagster.relay.fetch.adaptive_timeout import Stopwatch
from imgrelay_dagster.relay.fetch.address_guard import AddressGuard
from imgrelay_dagster.relay.fetch.backoff import delay
from imgrelay_dagster.relay.fetch.client import Client, Sink, Writable
from imgrelay_dagster.relay.fetch.limits import Limits
from imgrelay_dagster.relay.fetch.request_target import parse
from imgrelay_dagster.relay.fetch.resolver import Resolve, system_resolve
from imgrelay_dagster.relay.outcomes import Reason

__all__ = ["Downloader", "Fetched", "Limits", "Sink", "Writable"]


@dataclass(frozen=True, slots=True)
class Fetched:
    """A body that arrived whole.

    `bytes_in` is its size as written to the sink; `seconds` runs from the first try to the last byte, with the
    pauses between tries and without what it waited for its turn at a host.
    """

    bytes_in: int
    attempts: int
    http_status: int
    seconds: float


class Downloader:
    """Downloads for all threads of a process, over shared connections.

    Args:
        limits: what a download may cost.
        guard: which addresses it may connect to.
        stop: once set, every call raises `Stopped` within a fraction of a second, wherever it is.
        rng: for the jitter of back-off.
        resolve: looks names up.
        pause: waits so many seconds between tries; the default wakes up on `stop`.
        tls: TLS settings, in place of verification by certifi's and the system's authorities.
    """

    def __init__(
        self,
        limits: Limits,
        guard: AddressGuard,
        *,
        stop: threading.Event,
        rng: random.Random | None = None,
        resolve: Resolve = system_resolve,
        pause: Callable[[float], object] | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._limits = limits
        self._another = partial(Downloader, guard=guard, stop=stop, rng=rng, resolve=resolve, pause=pause, tls=tls)
        self._client = Client(limits, guard, stop=stop, resolve=resolve, tls=tls)
        self._rng = rng or random.Random()
        self._pause = pause or stop.wait

    def fetch(
        self,
        url: str,
        sink: Sink,
        *,
        patience: Callable[[], float] | None = None,
        made: int = 0,
        wait: float = 0.0,
    ) -> Fetched:
        """Download a URL, trying again where that may help.

        Args:
            url: as the manifest has it.
            sink: called once for each try that comes to a body.
            patience: seconds, all tries and pauses together, after which it is set aside; asked again all the time.
            made: requests made for it before it was set aside. At least one more is made, and none after a
                timeout: it has then been given its full time, a good while after it hung before.
            wait: seconds before the first request, where a server asked for them; cut to `retry_after_cap`.

        Raises:
            EntryFailure: with the last try's reason, and `attempts`.
            SetAside: patience is at its end; with `attempts`, and how long the server is to be left alone.
            Stopped: the run is to stop.
        """
        watch = Stopwatch(patience)
        target = parse(url)
        attempts = made + 1
        self._wait(min(wait, self._limits.retry_after_cap))
        while True:
            try:
                status, size = self._client.get(target, sink, watch)
                return Fetched(size, attempts, status, watch.seconds)
            except EntryFailure as failure:
                failure.attempts = attempts
                hung_again = made and failure.reason is Reason.TIMEOUT
                if not failure.transient or attempts >= self._limits.attempts or hung_again:
                    raise
                wait = delay(attempts, failure.retry_after, self._limits, self._rng)
            except Deferred as late:
                late.attempts = attempts
                raise
            if watch.out_of_patience(wait):
                raise Deferred(attempts, wait)
            self._wait(wait)
            attempts += 1

    def _wait(self, seconds: float) -> None:
        if seconds > 0:
            self._pause(seconds)
            if self._client.stopped:
                raise Stopped

    def widened(self, *, threads: int, per_host: int) -> "Downloader":
        """Another one with room for so many downloads at once, to be closed by who asked for it."""
        return self._another(replace(self._limits, threads=threads, per_host=per_host))

    def close(self) -> None:
        """Close all connections; downloads under way end with `Stopped`. May be called twice."""
        self._client.close()

    def __enter__(self) -> "Downloader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
