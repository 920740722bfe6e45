"""Aborts downloads from another thread: one whose deadline has passed, and all of them on stop.

Socket timeouts limit the time without data, not the total time: a server that sends one byte now and then can block
a thread forever, in the TLS handshake, in the headers or in the body. So one thread watches all exchanges of the
process. It shuts down the sockets of those that are to end, and the blocked call returns at once.
"""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from enum import Enum, auto

from imgrelay_dagster.relay.concurrency.running_clock import process_clock
from imgrelay_dagster.relay.errors import Deferred, EntryFailure, Stopped
from imgrelay_dagster.relay.outcomes import Reason

_TICK = 0.1  # seconds between two checks of all exchanges

# The reasons under which a thread reports a connection that the watchdog has shut down.
_ABORT_SYMPTOMS = frozenset(
    {Reason.CONNECT_ERROR, Reason.TIMEOUT, Reason.TLS_ERROR, Reason.TRUNCATED, Reason.EMPTY_BODY}
)


class SocketHandle:
    """A duplicate descriptor of a connection's socket, with which another thread can shut the socket down.

    It is a duplicate because the TLS layer detaches the original descriptor from the socket object. The connection
    and the exchange that uses it share the handle; the descriptor is closed when both have released it.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock.dup()
        self._lock = threading.Lock()  # prevents shutting down a descriptor that was closed and then reused
        self._references = 1

    def retain(self) -> None:
        with self._lock:
            self._references += 1

    def release(self) -> None:
        with self._lock:
            self._references -= 1
            if self._references == 0:
                self._sock.close()

    def shut_down(self) -> None:
        with self._lock, suppress(OSError):  # not yet connected, or no longer
            self._sock.shutdown(socket.SHUT_RDWR)


class CancelReason(Enum):
    """Why an exchange was canceled."""

    DEADLINE = auto()
    DEFERRED = auto()
    STOP = auto()


class Exchange:
    """One request and its response while the watchdog watches them. Created by `Watchdog.watch`.

    Attributes:
        connection_reused: whether the request was sent over a connection that an earlier one had opened.
        may_reuse: whether it may be sent over such a connection.
    """

    def __init__(self, seconds: float, should_defer: Callable[[], bool] = lambda: False) -> None:
        self._clock = process_clock()
        self._started = self._clock()
        self._deadline = self._started + seconds
        self.connection_reused = False
        self.may_reuse = True
        self._should_defer = should_defer
        self._cancel_reason: CancelReason | None = None
        self._handles: list[SocketHandle] = []
        self._lock = threading.Lock()

    @property
    def seconds(self) -> float:
        """The seconds since it began in which this process could run."""
        return self._clock() - self._started

    def attach(self, handle: SocketHandle) -> None:
        """Watch a connection; it is shut down at once if the exchange is already canceled."""
        handle.retain()
        with self._lock:
            self._handles.append(handle)
            if self._cancel_reason is not None:
                handle.shut_down()

    def detach(self, handle: SocketHandle) -> None:
        """Stop watching a connection, which another exchange may use from now on."""
        with self._lock:
            if handle not in self._handles:
                return
            self._handles.remove(handle)
        handle.release()

    def cancel(self, reason: CancelReason) -> None:
        """Shut down all attached connections. The first reason given is kept."""
        with self._lock:
            self._cancel_reason = self._cancel_reason or reason
            for handle in self._handles:
                handle.shut_down()

    def check(self) -> None:
        """Raise if this exchange is canceled or is to end.

        Raises:
            Stopped: the run is being stopped.
            EntryFailure: `timeout`, when the deadline has passed.
            Deferred: the download takes too long for now.
        """
        self._cancel_reason = self._cancel_reason or self.expired()
        if self._cancel_reason is CancelReason.STOP:
            raise Stopped
        if self._cancel_reason is CancelReason.DEADLINE:
            raise EntryFailure(Reason.TIMEOUT, "the download was not complete at its deadline", transient=True)
        if self._cancel_reason is CancelReason.DEFERRED:
            raise Deferred

    def expired(self) -> CancelReason | None:
        """Return the reason if this exchange has used up its time; None otherwise."""
        if self._clock() >= self._deadline:
            return CancelReason.DEADLINE
        if self._should_defer():
            return CancelReason.DEFERRED
        return None

    def release_handles(self) -> None:
        with self._lock:
            handles, self._handles = self._handles, []
        for handle in handles:
            handle.release()


class Watchdog:
    """Watches the exchanges of one process. Its thread starts with the first exchange.

    Args:
        stop: once set, all exchanges are canceled and new ones are refused.
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
        """The exchange of the calling thread; raises LookupError outside of `watch`."""
        exchange = getattr(self._local, "exchange", None)
        if not isinstance(exchange, Exchange):
            raise LookupError("connections can be used only inside Watchdog.watch")
        return exchange

    @contextmanager
    def watch(self, seconds: float, should_defer: Callable[[], bool] = lambda: False) -> Iterator[Exchange]:
        """Limit the network activity of the calling thread to `seconds`.

        Args:
            seconds: time until the deadline.
            should_defer: whether the download is to be deferred; called repeatedly.

        Raises:
            Stopped: the run is being stopped.
            Deferred: `should_defer` returned True.
            EntryFailure: `timeout` at the deadline, instead of the error that the shut-down connection caused.
        """
        exchange = Exchange(seconds, should_defer)
        with self._lock:
            if self.stopped:
                raise Stopped
            self._exchanges.add(exchange)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)
                self._thread.start()
        self._local.exchange = exchange
        try:
            yield exchange
        except EntryFailure as failure:
            if failure.reason in _ABORT_SYMPTOMS:
                exchange.check()
            raise
        finally:
            self._local.exchange = None
            with self._lock:
                self._exchanges.discard(exchange)
            exchange.release_handles()

    def close(self) -> None:
        """Cancel all exchanges and end the thread. May be called twice."""
        self._closed.set()
        self._cancel_expired()
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join(timeout=5 * _TICK)

    def _run(self) -> None:
        # It keeps running after a stop: an exchange may open its connection a moment later.
        while not self._closed.wait(_TICK):
            self._cancel_expired()

    def _cancel_expired(self) -> None:
        with self._lock:
            exchanges = list(self._exchanges)
        for exchange in exchanges:
            if self.stopped:
                exchange.cancel(CancelReason.STOP)
            elif reason := exchange.expired():
                exchange.cancel(reason)
