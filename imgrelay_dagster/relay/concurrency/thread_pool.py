"""A thread pool for one stage: bounded, with ordered results, and ended within about two seconds when stopped.

The threads are daemons that read from a queue, and the main thread waits for them in short intervals.
`ThreadPoolExecutor` is not suitable, even with `shutdown(cancel_futures=True)`: the interpreter joins its threads at
exit, so one hanging download would delay a canceled run until the download's own time limit.
"""

import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar, cast

from imgrelay_dagster.relay.concurrency.signals import defer_interrupts
from imgrelay_dagster.relay.errors import RelayError, Stopped

T = TypeVar("T")
R = TypeVar("R")

TICK = 0.25
"""Seconds between two calls of `tick` while the pool waits."""

LOOK = 0.05
"""Seconds between two looks at what the threads have done. To wake the calling thread for each result would take the
interpreter from a thread that works."""

JOIN_LIMIT = 1.5
"""Seconds to wait for the threads after `stop` is set."""

THREADS_GONE = "the stage's threads are gone; is there enough memory?"


def work_through(
    items: Sequence[T],
    work: Callable[[T], R],
    *,
    threads: int,
    wanted: Callable[[], int] | None = None,
    stop: threading.Event,
    crashed: Callable[[T, BaseException], R],
    done: Callable[[R], None] = lambda _: None,
    tick: Callable[[], None] = lambda: None,
    leave: float = JOIN_LIMIT,
) -> list[R]:
    """Call `work` on every item, in at most `threads` threads; return the results in the items' order.

    Args:
        items: the arguments of the calls.
        work: may raise `RelayError` to end the whole pool, or `Stopped` after `stop` is set.
        threads: maximum number of threads.
        wanted: how many threads have work at present, if fewer; more are started when it grows.
        stop: set when this call ends early; `work` must return or raise soon after that.
        crashed: converts any other exception of `work` into that item's result.
        done: called in the calling thread with each result, in the order of completion; also with results that
            arrive while the call ends early.
        tick: called in the calling thread about every `TICK` seconds; an exception it raises ends the pool.
        leave: seconds to wait for the threads when this call ends early.

    Raises:
        RelayError: raised by `work`.
        Stopped: another thread set `stop` before every item had its result.
        BaseException: any interrupt of the calling thread, within `LOOK` seconds; the threads are stopped first.
    """
    workers = _Workers(items, work, stop, crashed)
    reported = 0
    with defer_interrupts() as handle_interrupts:
        try:
            last_tick = time.monotonic()
            while reported < len(items):
                workers.start(threads if wanted is None else min(threads, max(1, wanted())))
                workers.wait(LOOK)
                handle_interrupts()
                were_alive = workers.are_alive()
                ended = workers.ended[reported:]
                for _, result, failure in ended:
                    if failure is not None:
                        raise failure
                    done(cast(R, result))
                    reported += 1
                if not ended and not were_alive:
                    raise Stopped if stop.is_set() else RelayError(THREADS_GONE)
                if time.monotonic() - last_tick >= TICK:
                    tick()
                    last_tick = time.monotonic()
            results = {index: cast(R, result) for index, result, _ in workers.ended}
            return [results[index] for index in range(len(items))]
        finally:
            if reported < len(items):
                # An image that a thread has just stored must get its record.
                stop.set()
                workers.join(leave)
                for _, result, failure in workers.ended[reported:]:
                    if failure is None:
                        done(cast(R, result))


class _Workers(Generic[T, R]):
    """The threads of one call of `work_through`.

    Attributes:
        ended: index, result and failure of each item that is done, in the order of completion. They stay in this list:
            an interrupt could lose a result between its removal from a queue and `done`.
    """

    def __init__(
        self,
        items: Sequence[T],
        work: Callable[[T], R],
        stop: threading.Event,
        crashed: Callable[[T, BaseException], R],
    ) -> None:
        self._work, self._stop, self._crashed = work, stop, crashed
        self._waiting: queue.SimpleQueue[tuple[int, T]] = queue.SimpleQueue()
        for numbered in enumerate(items):
            self._waiting.put(numbered)
        self._threads: list[threading.Thread] = []
        self.ended: list[tuple[int, R | None, RelayError | None]] = []
        self._news = threading.Event()

    def start(self, most: int) -> None:
        """Start threads until there are `most` of them, if there is work for another one."""
        while len(self._threads) < most and not self._waiting.empty():
            thread = threading.Thread(target=self._run, name=f"relay-{len(self._threads)}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def wait(self, seconds: float) -> None:
        """Wait for a failure, or for a result when no item waits for a thread any more; for `seconds` at most."""
        self._news.wait(seconds)
        self._news.clear()

    def are_alive(self) -> bool:
        """Whether any thread still works."""
        return any(thread.is_alive() for thread in self._threads)

    def join(self, limit: float) -> None:
        """Wait for the threads, for `limit` seconds at most."""
        until = time.monotonic() + limit
        for thread in filter(threading.Thread.is_alive, self._threads):
            thread.join(max(0.0, until - time.monotonic()))

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                index, item = self._waiting.get_nowait()
            except queue.Empty:
                return
            try:
                self._end(index, self._work(item), None)
            except Stopped:
                return
            except RelayError as error:
                self._end(index, None, error)
                return
            except BaseException as error:  # noqa: BLE001 - a panic in Rust is not an Exception; interrupts
                # are raised in the main thread only
                self._end(index, self._crashed(item, error), None)

    def _end(self, index: int, result: R | None, failure: RelayError | None) -> None:
        self.ended.append((index, result, failure))
        if failure is not None or self._waiting.empty():
            self._news.set()
