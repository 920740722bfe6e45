"""Fetches one URL into a sink: the whole body, within its limits, or a reason why not."""

import random
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from imgrelay_dagster.relay.addresses import AddressGuard
from imgrelay_dagster.relay.client import Client, Sink, Writable
from imgrelay_dagster.relay.errors import EntryFailure, SetAside, Stopped
from imgrelay_dagster.relay.limits import Limits
from imgrelay_dagster.relay.lookup import Resolve, system_resolve
from imgrelay_dagster.relay.retries import delay
from imgrelay_dagster.relay.target import parse

__all__ = ["Downloader", "Fetched", "Limits", "Sink", "Writable"]


@dataclass(frozen=True, slots=True)
class Fetched:
    """A body that arrived whole.

    `bytes_in` is its size as written to the sink; `seconds` runs from the first try to the last byte, waits
    included.
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
        clock: seconds, for `Fetched.seconds`.
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
        clock: Callable[[], float] = time.monotonic,
        rng: random.Random | None = None,
        resolve: Resolve = system_resolve,
        pause: Callable[[float], object] | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._limits = limits
        self._client = Client(limits, guard, stop=stop, resolve=resolve, tls=tls)
        self._clock = clock
        self._rng = rng or random.Random()
        self._pause = pause or stop.wait

    def fetch(self, url: str, sink: Sink, *, patience: Callable[[], float] | None = None, made: int = 0) -> Fetched:
        """Download a URL, trying again where that may help.

        Args:
            url: as the manifest has it.
            sink: called once for each try that comes to a body.
            patience: seconds, all tries and waits together, after which it is set aside; asked again all the time.
            made: requests made for it before it was set aside. At least one more is made.

        Raises:
            EntryFailure: with the last try's reason, and `attempts`.
            SetAside: patience is at its end; with `attempts`.
            Stopped: the run is to stop.
        """
        started = self._clock()
        target = parse(url)
        attempts = min(made, self._limits.attempts - 1) + 1
        began = time.monotonic()
        give_up = None if patience is None else lambda: began + patience()
        while True:
            try:
                status, size = self._client.get(target, sink, give_up)
                return Fetched(size, attempts, status, self._clock() - started)
            except EntryFailure as failure:
                failure.attempts = attempts
                if not failure.transient or attempts >= self._limits.attempts:
                    raise
                wait = delay(attempts, failure.retry_after, self._limits, self._rng)
            except SetAside as late:
                late.attempts = attempts
                raise
            if give_up is not None and time.monotonic() + wait > give_up():
                raise SetAside(attempts)
            self._pause(wait)
            if self._client.stopped:
                raise Stopped
            attempts += 1

    def close(self) -> None:
        """Close all connections; downloads under way end with `Stopped`. May be called twice."""
        self._client.close()

    def __enter__(self) -> "Downloader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
