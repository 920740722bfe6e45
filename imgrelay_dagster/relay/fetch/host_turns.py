"""When each host may be asked next: one pace for a host over all threads, and by a `HostBoard` over all processes."""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from uuid import uuid4

from imgrelay_dagster.relay.errors import EntryFailure
from imgrelay_dagster.relay.fetch.host_board import HostBoard, PrivateBoard
from imgrelay_dagster.relay.fetch.host_rate import RateState
from imgrelay_dagster.relay.outcomes import BANDWIDTH_EXCEEDED, ENHANCE_YOUR_CALM, Reason

READ_INTERVAL = 1.0
"""Seconds between two reads of the board."""

READ_AT_REFUSAL = 0.1
"""The same after a refusal by a host that is not known to have a limit: another process may know of one."""

RECENT = 32
"""Answers of a host that are remembered."""

CROWDED, CROWDED_RESETS = 5, 8
"""Different entries among those answers that must have been refused before refusals count as the host's, not theirs:
by a status that says so, or by a closed connection."""

SUSTAINED = 10.0
"""Seconds over which the rate of a host's answers is measured."""

EXCUSED_FOR = 60.0
"""Seconds without an answer after which a host refuses everything: it counts as down, and refusals as attempts."""

DOWN_AFTER = 3
"""Different entries in a row to which nobody answered before a host counts as down."""

BUSY_STATUSES = frozenset({ENHANCE_YOUR_CALM, 429, 503, BANDWIDTH_EXCEEDED})
"""Statuses that say that there are too many requests; also any other failure with a `Retry-After`."""

MAX_HOSTS = 10_000
"""Hosts whose state is kept; the oldest are forgotten."""


class _Host:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.state = RateState()
        self.answers: deque[float] = deque(maxlen=512)
        self.recent: deque[tuple[str, bool]] = deque(maxlen=RECENT)
        self.unanswered: set[str] = set()
        self.limited = False  # a request waited since the rate was raised last
        self.window = -1
        self.other_window = -1  # of another process
        self.tokens = 0.0
        self.next_at = 0.0

    def sustained(self, now: float) -> float:
        """Answers per second in the last `SUSTAINED` seconds, or since the first one."""
        recent = [at for at in self.answers if at > now - SUSTAINED]
        return len(recent) / max(1.0, now - recent[0]) if recent else 0.0

    def take(self, name: str, now: float, rate: float, board: HostBoard) -> float:
        """Take a token; return 0, or the seconds after which to try again."""
        number = int(now / board.window)
        until_next = (number + 1) * board.window - now
        if number != self.window:
            if self.other_window == number:
                return until_next
            if not board.claim(name, number):
                self.other_window = number
                return until_next
            share = rate * board.window
            self.tokens = min(self.tokens, max(1.0, share)) + share
            self.window = number
            self.next_at = max(self.next_at, number * board.window)
        if self.tokens < 1.0:
            return until_next
        if now < self.next_at:
            return self.next_at - now
        self.tokens -= 1.0
        self.next_at = max(self.next_at, now - 2 / rate) + 1 / rate
        return 0.0


class HostTurns:
    """Gives turns to the requests of one process.

    Args:
        board: shared with the run's other processes.
        max_per_second: requests per second to one host that a run may send at most; None for no limit.
        longest_pause: maximum seconds for which a host's `Retry-After` is respected.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        board: HostBoard | None = None,
        max_per_second: Callable[[str], float | None] = lambda _: None,
        *,
        longest_pause: float = 30.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._board = board or PrivateBoard()
        self._max_per_second = max_per_second
        self._longest_pause = longest_pause
        self._clock = clock
        self._process = uuid4().hex[:8]
        self._hosts: dict[str, _Host] = {}
        self._lock = threading.Lock()
        self._last_read = 0.0

    def wait_for(self, name: str) -> float:
        """Ask for a turn at a host; return 0 if it is granted, or the seconds after which to ask again."""
        now = self._clock()
        self._read_if_due(now)
        host = self._host(name)
        with host.lock:
            if host.limited and host.state.raise_if_due(now):
                host.limited = False
                self._board.publish(name, host.state)
            wait = self._wait(host, name, now)
            host.limited = host.limited or wait > 0
            return wait

    def _wait(self, host: _Host, name: str, now: float) -> float:
        if now < host.state.paused_until:
            return host.state.paused_until - now
        rates = [rate for rate in (host.state.rate, self._max_per_second(name)) if rate is not None]
        return host.take(name, now, min(rates), self._board) if rates else 0.0

    def down(self, name: str) -> EntryFailure | None:
        """The failure to report if a host is down; None while it is not known to be."""
        self._read_if_due(self._clock())
        state = self._host(name).state
        if state.down is None:
            return None
        detail = f"not asked: {name} answers no requests at present ({state.down})"
        return EntryFailure(Reason(state.down_reason or Reason.CONNECT_ERROR), detail)

    def try_down_hosts_again(self) -> None:
        """Give every host that is down another chance."""
        self._read_if_due(self._clock())
        for host in list(self._hosts.values()):
            with host.lock:
                host.state = replace(host.state, down=None, down_reason=None, refusing_since=0.0, changed=self._clock())

    def answered(self, name: str, entry: str) -> None:
        """Record an answer that is no refusal."""
        host = self._host(name)
        with host.lock:
            host.state.answered = self._clock()
            host.state.refusing_since = 0.0
            host.answers.append(host.state.answered)
            host.recent.append((entry, False))
            host.unanswered.clear()
            if host.state.down is not None:
                host.state = replace(host.state, down=None, down_reason=None, changed=self._clock())
                self._board.publish(name, host.state)

    def failed(self, name: str, entry: str, failure: EntryFailure) -> bool:
        """Record a failed request; return whether it was refused because there are too many requests.

        Such a request does not count as an attempt of its entry.
        """
        if failure.unreachable:
            self._unanswered(name, entry, failure)
            return False
        if failure.reason is Reason.TIMEOUT and failure.http_status is None:
            return False  # silence says nothing about the host: one URL may hang
        told = failure.http_status in BUSY_STATUSES or failure.retry_after is not None
        if not told and not failure.closed:
            self.answered(name, entry)
            return False
        host, now = self._host(name), self._clock()
        if told and host.state.rate is None:
            self._read_if_due(now, READ_AT_REFUSAL)
        with host.lock:
            host.unanswered.clear()
            host.recent.append((entry, True))
            answers = sum(at > now - 1.0 for at in host.answers)
            refused = len({other for other, was_refused in host.recent if was_refused})
            if refused < (CROWDED if told else CROWDED_RESETS):
                return told and host.state.rate is not None  # a host that is known to have a limit
            pause = min(failure.retry_after or 0.0, self._longest_pause)
            host.state.lower(now, answers, pause, host.sustained(now), self._process)
            if now - host.state.refusing_since > EXCUSED_FOR:
                host.state = replace(host.state, down=failure.detail, down_reason=failure.reason.value, changed=now)
            self._board.publish(name, host.state)
            return now - host.state.answered < EXCUSED_FOR

    def _unanswered(self, name: str, entry: str, failure: EntryFailure) -> None:
        host = self._host(name)
        with host.lock:
            host.unanswered.add(entry)
            if len(host.unanswered) >= DOWN_AFTER and host.state.down is None:
                state = replace(host.state, down=failure.detail, down_reason=failure.reason.value)
                host.state = replace(state, changed=self._clock())
                self._board.publish(name, host.state)

    def _host(self, name: str) -> _Host:
        host = self._hosts.get(name)
        if host is None:
            with self._lock:
                if len(self._hosts) >= MAX_HOSTS:
                    del self._hosts[next(iter(self._hosts))]
                host = self._hosts.setdefault(name, _Host())
        return host

    def _read_if_due(self, now: float, interval: float = READ_INTERVAL) -> None:
        if now - self._last_read < interval or not self._lock.acquire(blocking=False):
            return
        try:
            due = now - self._last_read >= interval
            self._last_read = now
        finally:
            self._lock.release()
        for name, state in self._board.read().items() if due else ():
            host = self._host(name)
            with host.lock:
                host.state = host.state.merge(state)
