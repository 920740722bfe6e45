"""Cuts downloads off from outside: at their deadline, and all of them on stop.

Socket timeouts limit silence, not duration: a server that sends one byte now and then keeps a thread for
ever, be it in the TLS handshake, in the headers or in the body. So one thread watches over all exchanges of
the process and shuts down the sockets of those whose time is over; whatever call was blocked returns at once.
"""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from enum import Enum, auto

from imgrelay_dagster.relay.errors import Deferred, EntryFailure, Stopped
from imgrelay_dagster.relay.outcomes import Reason

_TICK = 0.1  # seconds between rounds

# What a connection that was cut looks like from inside.
_LOOKS_CUT = frozenset({Reason.CONNECT_ERROR, Reason.TIMEOUT, Reason.TLS_ERROR, Reason.TRUNCATED, Reason.EMPTY_BODY})


class Handle:
    """A second descriptor of a connection's socket, by which another thread may shut it down.

    A descriptor of its own, because the TLS layer takes the first one away from the socket object. It is
    shared by the connection and by the exchange that uses it, and closed when both have let go.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock.dup()
        self._lock = threading.Lock()  # so that no other file's reused descriptor is ever shut down
        self._holders = 1

    def retain(self) -> None:
        with self._lock:
            self._holders += 1

    def release(self) -> None:
        with self._lock:
            self._holders -= 1
            if self._holders == 0:
                self._sock.close()

    def cut(self) -> None:
        with self._lock, suppress(OSError):  # not connected yet, or no longer
            self._sock.shutdown(socket.SHUT_RDWR)


class CancelReason(Enum):
    """Why an exchange was cut off."""

    DEADLINE = auto()
    SET_ASIDE = auto()
    STOP = auto()


class Exchange:
    """One request and its answer, while it is under watch. Made by `Watchdog.watch`."""

    def __init__(self, seconds: float, give_up: Callable[[], bool] = lambda: False) -> None:
        self.started = time.monotonic()
        self.deadline = self.started + seconds
        self._give_up = give_up
        self.cut_by: CancelReason | None = None
        self._handles: list[Handle] = []
        self._lock = threading.Lock()

    def attach(self, handle: Handle) -> None:
        """Put a connection under watch; it is cut at once if the exchange already is."""
        handle.retain()
        with self._lock:
            self._handles.append(handle)
            if self.cut_by is not None:
                handle.cut()

    def detach(self, handle: Handle) -> None:
        """Let go of a connection that another exchange may use from now on."""
        with self._lock:
            if handle not in self._handles:
                return
            self._handles.remove(handle)
        handle.release()

    def cut(self, cause: CancelReason) -> None:
        with self._lock:
            self.cut_by = self.cut_by or cause
            for handle in self._handles:
                handle.cut()

    def check(self) -> None:
        """Raise what a cut means, if this exchange was cut or its time is over.

        Raises:
            Stopped: the run is to stop.
            EntryFailure: `timeout`.
            SetAside: patience with it is at its end.
        """
        self.cut_by = self.cut_by or self.due()
        if self.cut_by is CancelReason.STOP:
            raise Stopped
        if self.cut_by is CancelReason.DEADLINE:
            raise EntryFailure(Reason.TIMEOUT, "not complete at its deadline", transient=True)
        if self.cut_by is CancelReason.SET_ASIDE:
            raise Deferred

    def due(self) -> CancelReason | None:
        """Whether its time is over, and which."""
        now = time.monotonic()
        if now >= self.deadline:
            return CancelReason.DEADLINE
        if self._give_up():
            return CancelReason.SET_ASIDE
        return None

    def end(self) -> None:
        with self._lock:
            handles, self._handles = self._handles, []
        for handle in handles:
            handle.release()


class Watchdog:
    """Watches over the exchanges of one process; its thread starts with the first of them.

    Args:
        stop: once set, all exchanges are cut and new ones are refused.
    """

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._closed = threading.Event()
        self._exchanges: set[Exchange] = set()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._local = threading.local()

    @property
    def stopped(self) -> bool:
        return self._stop.is_set() or self._closed.is_set()

    @property
    def current(self) -> Exchange:
        """The exchange of the calling thread; LookupError outside of `watch`."""
        exchange = getattr(self._local, "exchange", None)
        if not isinstance(exchange, Exchange):
            raise LookupError("connections are used inside Watchdog.watch only")
        return exchange

    @contextmanager
    def watch(self, seconds: float, give_up: Callable[[], bool] = lambda: False) -> Iterator[Exchange]:
        """Limit what the calling thread does on the network to so many seconds.

        Args:
            give_up: whether it is to be set aside; asked again all the time.

        Raises:
            Stopped: the run is to stop.
            SetAside: `give_up` said so.
            EntryFailure: `timeout`, in place of what the cut connection looked like to the caller.
        """
        exchange = Exchange(seconds, give_up)
        with self._lock:
            if self.stopped:
                raise Stopped
            self._exchanges.add(exchange)
            if self._thread is None:
                self._thread = threading.Thread(target=self._round, name="watchdog", daemon=True)
                self._thread.start()
        self._local.exchange = exchange
        try:
            yield exchange
        except EntryFailure as failure:
            if failure.reason in _LOOKS_CUT:
                exchange.check()
            raise
        finally:
            self._local.exchange = None
            with self._lock:
                self._exchanges.discard(exchange)
            exchange.end()

    def close(self) -> None:
        """Cut what is still under way and end the thread. May be called twice."""
        self._closed.set()
        self._cut_due()
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join(timeout=5 * _TICK)

    def _round(self) -> None:
        # Once stopped it keeps going round: an exchange may open its connection a moment later.
        while not self._closed.wait(_TICK):
            self._cut_due()

    def _cut_due(self) -> None:
        with self._lock:
            watched = list(self._exchanges)
        for exchange in watched:
            if self.stopped:
                exchange.cut(CancelReason.STOP)
            elif cause := exchange.due():
                exchange.cut(cause)
