"""A thread pool for one stage: bounded, with ordered results, and ended within about two seconds when stopped.

The threads are daemons that read from a queue, and the main thread waits for them in short intervals.
`ThreadPoolExecutor` is not suitable, even with `shutdown(cancel_futures=True)`: the interpreter joins its threads at
exit, so one hanging download would delay a canceled run until the download's own time limit.
"""

import queue
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TypeVar, cast

from imgrelay_dagster.relay.concurrency.signals import defer_interrupts
from imgrelay_dagster.relay.errors import RelayError, Stopped

T = TypeVar("T")
R = TypeVar("R")

TICK = 0.25
"""Seconds between two calls of `tick` while the pool waits."""

JOIN_LIMIT = 1.5
"""Seconds to wait for the threads after `stop` is set."""

THREADS_GONE = "the stage's threads are gone; is there enough memory?"


def work_through(
    items: Sequence[T],
    work: Callable[[T], R],
    *,
    threads: int,
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
        stop: set when this call ends early; `work` must return or raise soon after that.
        crashed: converts any other exception of `work` into that item's result.
        done: called in the calling thread with each result, in the order of completion; also with results that
            arrive while the call ends early.
        tick: called in the calling thread about every `TICK` seconds; an exception it raises ends the pool.
        leave: seconds to wait for the threads when this call ends early.

    Raises:
        RelayError: raised by `work`.
        Stopped: another thread set `stop` before every item had its result.
        BaseException: any interrupt of the calling thread, within `TICK` seconds; the threads are stopped first.
    """
    waiting: queue.SimpleQueue[tuple[int, T]] = queue.SimpleQueue()
    for numbered in enumerate(items):
        waiting.put(numbered)
    # Results stay in this list: an interrupt could lose a result between its removal from a queue and `done`.
    ended: list[tuple[int, R | None, RelayError | None]] = []
    wakeups: queue.SimpleQueue[None] = queue.SimpleQueue()

    def end(index: int, result: R | None, failure: RelayError | None) -> None:
        ended.append((index, result, failure))
        wakeups.put(None)

    def run_worker() -> None:
        while not stop.is_set():
            try:
                index, item = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                end(index, work(item), None)
            except Stopped:
                return
            except RelayError as error:
                end(index, None, error)
                return
            except BaseException as error:  # noqa: BLE001 - a panic in Rust is not an Exception; interrupts
                # are raised in the main thread only
                end(index, crashed(item, error), None)

    workers = [
        threading.Thread(target=run_worker, name=f"relay-{number}", daemon=True)
        for number in range(min(threads, len(items)))
    ]
    reported = 0
    with defer_interrupts() as handle_interrupts:
        try:
            for thread in workers:
                thread.start()
            last_tick = time.monotonic()
            while reported < len(items):
                with suppress(queue.Empty):
                    wakeups.get(timeout=TICK)
                handle_interrupts()
                if reported < len(ended):
                    _, result, failure = ended[reported]
                    if failure is not None:
                        raise failure
                    done(cast(R, result))
                    reported += 1
                elif not any(thread.is_alive() for thread in workers) and reported == len(ended):
                    raise Stopped if stop.is_set() else RelayError(THREADS_GONE)
                if time.monotonic() - last_tick >= TICK:
                    tick()
                    last_tick = time.monotonic()
            results = {index: cast(R, result) for index, result, _ in ended}
            return [results[index] for index in range(len(items))]
        finally:
            if reported < len(items):
                # An image that a thread has just stored must get its record.
                stop.set()
                _join_workers(workers, leave)
                for _, result, failure in ended[reported:]:
                    if failure is None:
                        done(cast(R, result))


def _join_workers(workers: Sequence[threading.Thread], limit: float) -> None:
    until = time.monotonic() + limit
    for thread in filter(threading.Thread.is_alive, workers):
        thread.join(max(0.0, until - time.monotonic()))
