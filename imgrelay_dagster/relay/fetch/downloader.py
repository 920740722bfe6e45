"""Downloads one URL into a sink: the whole body, within the limits, or a failure with its reason."""

import random
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from imgrelay_dagster.relay.errors import Deferred, EntryFailure, Stopped
from imgrelay_dagster.relay.fetch.adaptive_timeout import Stopwatch
from imgrelay_dagster.relay.fetch.address_guard import AddressGuard
from imgrelay_dagster.relay.fetch.backoff import retry_delay
from imgrelay_dagster.relay.fetch.client import Client
from imgrelay_dagster.relay.fetch.host_board import HostBoard
from imgrelay_dagster.relay.fetch.host_turns import HostTurns
from imgrelay_dagster.relay.fetch.limits import Limits
from imgrelay_dagster.relay.fetch.origin_settings import OriginRules
from imgrelay_dagster.relay.fetch.request_target import Target, host_name, parse_target
from imgrelay_dagster.relay.fetch.resolver import ResolveFunction, system_resolve
from imgrelay_dagster.relay.fetch.response_body import Sink, Writable
from imgrelay_dagster.relay.fetch.validators import NO_VALIDATORS, NOT_MODIFIED
from imgrelay_dagster.relay.outcomes import Reason

__all__ = ["Downloader", "FetchResult", "Limits", "Sink", "Writable"]


_MAX_EXCUSED = 10  # refusals for each attempt that do not count


@dataclass(frozen=True, slots=True)
class FetchResult:
    """A body that was downloaded completely.

    `bytes_in` is its size as written to the sink. `seconds` runs from the first attempt to the last byte, with the
    pauses between attempts, without the time spent waiting for a slot at its host. `validators` are those of the body.
    `unchanged` means that nothing was downloaded, because the body that is known already has not changed.
    """

    bytes_in: int
    attempts: int
    http_status: int
    seconds: float
    validators: Mapping[str, str] = field(default_factory=dict)
    unchanged: bool = False


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
        board: what the run's processes know about hosts; None if this process downloads alone.
        turns: when each host may be asked; None makes it from `board`.
        rules: settings of single hosts.
        adjusted_rate: returns what counts now in place of `max_requests_per_second`; None if nothing does.
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
        board: HostBoard | None = None,
        turns: HostTurns | None = None,
        rules: OriginRules | None = None,
        adjusted_rate: Callable[[], float | None] = lambda: None,
    ) -> None:
        self._limits = limits
        rules = rules or OriginRules()
        self._turns = turns or HostTurns(
            board, partial(_max_per_second, limits, rules, adjusted_rate), longest_pause=limits.retry_after_cap
        )
        shared: dict[str, Any] = {"stop": stop, "resolve": resolve, "tls": tls, "turns": self._turns, "rules": rules}

        def recreate(other: Limits) -> Downloader:
            return Downloader(other, guard, rng=rng, pause=pause, **shared)

        self._recreate = recreate
        self._client = Client(limits, guard, **shared)
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
        patience: float | None = None,
        excused: int = 0,
        validators: Mapping[str, str] = NO_VALIDATORS,
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
            patience: maximum seconds to wait until the host may be asked; None waits as long as it takes.
            excused: of the previous attempts, those that do not count.
            validators: of the body that is known already, which is then not downloaded again.

        Raises:
            EntryFailure: with the last attempt's reason, and `attempts`.
            Deferred: the download takes longer than `defer_after`, or its host is busy or down; with `attempts`, and
                with the seconds to wait before the next request.
            Stopped: the run is being stopped.
        """
        stopwatch = Stopwatch(defer_after)
        target = parse_target(url)
        attempts = previous_attempts + 1
        self._wait(min(wait, self._limits.retry_after_cap))
        while True:
            with stopwatch.paused():
                self._check_host(target, attempts - 1, last_chance=defer_after is None)
            try:
                answer = self._client.get(target, sink, stopwatch, patience, validators)
                unchanged = answer.status == NOT_MODIFIED
                return FetchResult(
                    answer.size, attempts, answer.status, stopwatch.seconds, answer.validators, unchanged
                )
            except EntryFailure as failure:
                failure.attempts = attempts if failure.request_made else attempts - 1
                if failure.excused and excused < _MAX_EXCUSED * self._limits.attempts:
                    excused += 1
                    attempts += 1
                    continue
                timed_out_again = previous_attempts and defer_after is None and failure.reason is Reason.TIMEOUT
                if not failure.transient or attempts - excused >= self._limits.attempts or timed_out_again:
                    raise
                wait = retry_delay(attempts - excused, failure.retry_after, self._limits, self._rng)
            except Deferred as deferred:
                deferred.attempts = attempts - (deferred.cause == "busy")
                deferred.excused = excused
                raise
            if stopwatch.should_defer(wait):
                raise Deferred(attempts, wait)
            self._wait(wait)
            attempts += 1

    def _check_host(self, target: Target, attempts: int, *, last_chance: bool) -> None:
        """Raise if the target's host is known to be down: nobody need wait for it once more."""
        down = self._turns.down(host_name(target))
        if down is not None:
            if not last_chance:
                raise Deferred(attempts, cause="down")
            down.attempts = attempts
            raise down

    def _wait(self, seconds: float) -> None:
        if seconds > 0:
            self._pause(seconds)
            if self._client.stopped:
                raise Stopped

    def with_capacity(self, *, threads: int, per_host: int) -> "Downloader":
        """Return a downloader for `threads` concurrent downloads, `per_host` per host; the caller closes it.

        Hosts that are down get another chance.
        """
        self._turns.try_down_hosts_again()
        return self._recreate(replace(self._limits, threads=threads, per_host=per_host))

    def close(self) -> None:
        """Close all connections; pending downloads end with `Stopped`. May be called twice."""
        self._client.close()

    def __enter__(self) -> "Downloader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _max_per_second(
    limits: Limits, rules: OriginRules, adjusted_rate: Callable[[], float | None], name: str
) -> float | None:
    host = name if name.count(":") > 1 and not name.startswith("[") else name.partition(":")[0]
    own = rules.of(host).max_requests_per_second
    adjusted = adjusted_rate()
    general = limits.max_requests_per_second if adjusted is None else adjusted
    given = [rate for rate in (own, general) if rate is not None]
    return min(given, default=None)
