"""The thread pool of one stage."""

import random
import signal
import threading
import time

import pytest

from imgrelay_dagster.relay.concurrency.thread_pool import work_through
from imgrelay_dagster.relay.errors import RelayError, Stopped


def run_pool(work, items, **options):
    settings = {"threads": 4, "stop": threading.Event(), "crashed": lambda item, error: (item, error)}
    return work_through(items, work, **{**settings, **options})


def test_results_keep_the_order_of_the_items():
    def work(number: int) -> int:
        time.sleep(0.02 if number % 3 == 0 else 0)
        return number * 2

    assert run_pool(work, list(range(50)), threads=8) == [number * 2 for number in range(50)]


def test_threads_start_when_they_have_work():
    wanted, names, lock = 0, set[str](), threading.Lock()

    def work(number: int) -> int:
        nonlocal wanted
        with lock:
            names.add(threading.current_thread().name)
            seen = len(names)
        if number == 10:
            wanted = 3
        if number > 10:
            time.sleep(0.001)
        return seen

    seen = run_pool(work, list(range(2000)), threads=8, wanted=lambda: wanted)
    assert set(seen[:10]) == {1}  # one at least, though none is wanted
    assert seen[-1] == len(names) == 3


def test_no_items_give_no_results():
    assert run_pool(lambda item: item, []) == []


def test_the_number_of_threads_is_bounded():
    running, peak, lock = 0, 0, threading.Lock()

    def work(_: int) -> None:
        nonlocal running, peak
        with lock:
            running += 1
            peak = max(peak, running)
        time.sleep(0.005)
        with lock:
            running -= 1

    run_pool(work, list(range(60)), threads=3)
    assert peak == 3


def test_an_exception_ends_its_item_only():
    def work(number: int) -> int:
        if number == 3:
            raise MemoryError("this one is too large")
        return number

    results = run_pool(work, list(range(6)))
    assert [result for result in results if isinstance(result, int)] == [0, 1, 2, 4, 5]
    item, error = results[3]
    assert item == 3
    assert isinstance(error, MemoryError)


def test_a_panic_in_a_library_ends_its_item_only():
    """A panic in Rust raises a BaseException that is not an Exception. Without a result the pool would never end."""

    class PanicException(BaseException):
        pass

    def work(item: int) -> int:
        if item == 2:
            raise PanicException("index out of bounds")
        return item

    first, (item, error), *others = run_pool(work, [1, 2, 3, 4], threads=1)
    assert (first, item, type(error), others) == (1, 2, PanicException, [3, 4])


def test_every_result_is_passed_to_done():
    done: list[int] = []
    run_pool(lambda item: item, list(range(30)), done=done.append)
    assert sorted(done) == list(range(30))


def test_an_error_of_the_whole_run_stops_the_pool():
    started: list[int] = []
    stop = threading.Event()

    def work(number: int) -> None:
        started.append(number)
        if number == 5:
            raise RelayError("disk full")
        time.sleep(0.01)

    with pytest.raises(RelayError, match="disk full"):
        run_pool(work, list(range(10_000)), stop=stop)
    assert stop.is_set()
    assert len(started) < 1_000


def test_an_interrupt_of_the_main_thread_is_raised_and_the_threads_end():
    stop = threading.Event()
    before = threading.active_count()

    def work(_: int) -> None:
        if stop.wait(30):
            raise Stopped

    def tick() -> None:
        raise KeyboardInterrupt

    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run_pool(work, list(range(100)), threads=16, stop=stop, tick=tick)
    assert time.monotonic() - started < 5
    assert threading.active_count() == before


def test_results_finished_before_an_interrupt_are_passed_to_done():
    """Their images are already stored; without their records, the results of a canceled run would be wrong."""
    finished: list[int] = []
    done: list[int] = []

    def work(number: int) -> int:
        time.sleep(0.3)
        finished.append(number)
        return number

    def interrupted(number: int) -> None:
        done.append(number)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_pool(work, list(range(20)), done=lambda number: done.append(number) if done else interrupted(number))
    assert len(finished) >= 4
    assert sorted(set(done)) == sorted(finished)


def test_threads_that_do_not_react_to_stop_remain_as_daemons():
    release = threading.Event()

    def tick() -> None:
        raise KeyboardInterrupt

    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run_pool(lambda _: release.wait(60), [1], tick=tick)
    waited = time.monotonic() - started
    remaining = [thread for thread in threading.enumerate() if thread.name.startswith("relay-")]
    assert waited < 10
    assert all(thread.daemon for thread in remaining)
    release.set()
    for thread in remaining:
        thread.join(5)


def test_a_stop_set_by_another_thread_ends_the_pool():
    stop = threading.Event()

    def work(_: int) -> None:
        stop.set()
        raise Stopped

    with pytest.raises(Stopped):
        run_pool(work, list(range(10)), stop=stop)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interrupt_at_any_moment_loses_no_finished_result():
    """An interrupt can occur between any two instructions of the main thread, even while it receives a result."""
    chance = random.Random(5)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    saved = signal.signal(signal.SIGALRM, interrupt)
    try:
        interrupted = 0
        for _ in range(400):
            finished: list[int] = []
            done: list[int] = []

            def work(number: int, finished: list[int] = finished) -> int:
                finished.append(number)
                return number

            try:
                try:
                    signal.setitimer(signal.ITIMER_REAL, chance.uniform(0.0005, 0.004))
                    run_pool(work, list(range(2_000)), threads=8, done=done.append)
                finally:
                    signal.setitimer(signal.ITIMER_REAL, 0)
            except KeyboardInterrupt:
                interrupted += 1
            except RuntimeError:  # CPython turns an interrupt inside a Condition into this
                interrupted += 1
            assert set(finished) <= set(done)
    finally:
        signal.signal(signal.SIGALRM, saved)
    assert interrupted > 50
