"""Stopping downloads: blocked threads return at once, and no socket stays open."""

import gc
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from imgrelay_dagster.relay.errors import EntryFailure, Stopped
from imgrelay_dagster.relay.fetch import watchdog
from imgrelay_dagster.relay.fetch.downloader import Downloader
from tests.support.download_helpers import IMAGES, JPEG, Bodies, downloader, failure_of, open_sockets, resolver
from tests.support.hostile_origin import HostileOrigin

LONG_LIMITS = {"read_timeout": 60, "deadline": 60, "connect_timeout": 60, "attempts": 3, "backoff": 60}


@contextmanager
def assert_sockets_closed() -> Iterator[None]:
    """Check that after the block, when the origin's threads have ended, no more sockets are open than before."""
    before = open_sockets()
    yield
    deadline = time.monotonic() + 2
    while open_sockets() > before and time.monotonic() < deadline:
        time.sleep(0.02)
    assert open_sockets() <= before


def fetch_and_stop(download: Downloader, stop: threading.Event, urls: list[str]) -> tuple[float, list[object]]:
    """Fetch all URLs in threads and stop half a second later; return the seconds until all ended, and the results."""
    results: list[object] = []

    def fetch(url: str) -> None:
        try:
            results.append(download.fetch(url, Bodies()))
        except (Stopped, EntryFailure) as error:
            results.append(type(error))

    threads = [threading.Thread(target=fetch, args=(url,), daemon=True) for url in urls]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    stop.set()
    started = time.monotonic()
    for thread in threads:
        thread.join(timeout=10)
    return time.monotonic() - started, results


def test_sixteen_blocked_threads_return_and_leave_no_open_socket() -> None:
    paths = ["/never", "/headers-then-hang", "/drip", "/drip-headers", "/no-length-then-hang", "/status/503"]
    stop = threading.Event()
    with assert_sockets_closed():
        with HostileOrigin(IMAGES) as origin, downloader(stop=stop, **LONG_LIMITS) as download:
            download.fetch(origin.url("/ok.jpg"), Bodies())  # so that one of them blocks on a reused connection
            urls = [origin.url(paths[number % 6]) for number in range(15)]
            urls.append(origin.url("/in-the-handshake", scheme="https"))
            took, results = fetch_and_stop(download, stop, urls)
        assert results == [Stopped] * 16
        assert took < 1


def test_waiting_for_a_host_slot_a_name_or_a_connection_is_stopped() -> None:
    def silent(host: str, port: int) -> list[object]:
        time.sleep(3)
        return []

    stop = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0), backlog=0)
    port = listener.getsockname()[1]
    clients = [socket.socket() for _ in range(4)]
    for client in clients:  # fill the backlog: further connections get no answer
        client.setblocking(False)
        client.connect_ex(("127.0.0.1", port))
    try:
        with (
            HostileOrigin() as origin,
            downloader(stop=stop, resolve=silent, per_host=1, **LONG_LIMITS) as download,
        ):
            urls = [origin.url("/never")] * 3 + ["http://silent.test/", f"http://127.0.0.1:{port}/"]
            took, results = fetch_and_stop(download, stop, urls)
        assert origin.hits["/never"] <= 1
    finally:
        listener.close()
        for client in clients:
            client.close()
    assert results == [Stopped] * 5
    assert took < 1


def test_a_fast_endless_body_is_stopped_between_two_chunks() -> None:
    stop = threading.Event()
    with HostileOrigin() as origin, downloader(stop=stop, max_bytes=10**15, **LONG_LIMITS) as download:
        took, results = fetch_and_stop(download, stop, [origin.url("/endless")])
    assert (results, took < 1) == ([Stopped], True)


def test_closing_does_not_wait_for_the_watchdogs_next_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "_TICK", 3600.0)
    with HostileOrigin(IMAGES) as origin:
        with downloader() as download:
            download.fetch(origin.url("/ok.jpg"), Bodies())
        assert not [thread for thread in threading.enumerate() if thread.name == "watchdog"]


def test_nothing_is_started_after_a_stop() -> None:
    stop = threading.Event()
    stop.set()
    with HostileOrigin(IMAGES) as origin, downloader(stop=stop) as download:
        with pytest.raises(Stopped):
            download.fetch(origin.url("/ok.jpg"), Bodies())
        assert origin.connections == 0


def test_closing_stops_pending_downloads_and_can_be_repeated() -> None:
    with assert_sockets_closed(), HostileOrigin(IMAGES) as origin:
        download = downloader(**LONG_LIMITS)
        results: list[object] = []

        def fetch() -> None:
            try:
                download.fetch(origin.url("/never"), Bodies())
            except Stopped:
                results.append(Stopped)

        thread = threading.Thread(target=fetch)
        thread.start()
        time.sleep(0.3)
        download.close()
        download.close()
        thread.join(timeout=2)
        assert results == [Stopped]
        with pytest.raises(Stopped):
            download.fetch(origin.url("/ok.jpg"), Bodies())


def test_hundreds_of_downloads_of_all_kinds_leak_no_descriptors() -> None:
    paths = ["/status/404", "/hang-up", "/redirect/2/ok.jpg", "/close-mid-body", "/endless", "/length-too-large"]
    paths += ["/no-length/ok.jpg", "/big-headers", "/redirect-endless", "/chunked-cut", "/empty", "/gzip-lie"]
    gc.collect()
    before = open_sockets()
    gc.disable()  # descriptors must be closed without the garbage collector
    try:
        with assert_sockets_closed(), HostileOrigin(IMAGES) as origin, downloader(backoff=0.0) as download:
            for path in paths * 20:
                with suppress(EntryFailure):
                    download.fetch(origin.url(path), Bodies())
            assert min(origin.hits[path] for path in paths) == 20
            time.sleep(0.3)
            # At most two idle connections, each with two descriptors here and one at the origin; and its listener.
            assert open_sockets() <= before + 7
    finally:
        gc.enable()


def test_idle_connections_to_many_hosts_are_bounded() -> None:
    names = [f"host{number}" for number in range(60)]
    before = open_sockets()
    gc.collect()
    gc.disable()
    try:
        resolve = resolver(**dict.fromkeys(names, "127.0.0.1"))
        with HostileOrigin(IMAGES) as origin, downloader(resolve=resolve, backoff=0.0) as download:
            for name in names:
                with suppress(EntryFailure):
                    download.fetch(origin.url("/hang-up", f"{name}.test"), Bodies())
                download.fetch(origin.url("/ok.jpg", f"{name}.test"), Bodies())
            time.sleep(0.3)
            # 16 pools are kept; a connection has two descriptors here and one at the origin. The origin has a listener.
            assert open_sockets() <= before + 16 * 3 + 1
    finally:
        gc.enable()


def test_a_deadline_does_not_end_the_next_download_on_the_same_connection() -> None:
    bodies = Bodies()
    with HostileOrigin(IMAGES) as origin, downloader(deadline=0.3, attempts=1) as download:
        for _ in range(10):  # ten times 0.1 s on one connection, each within its own deadline
            download.fetch(origin.url("/latency/100/ok.jpg"), bodies)
        assert bodies.whole == [JPEG] * 10
        assert origin.connections == 1
        failure_of(download, origin.url("/drip"))
        download.fetch(origin.url("/ok.jpg"), bodies)
        assert origin.connections == 2  # the connection that was shut down is not reused


def test_concurrent_requests_to_one_host_are_limited() -> None:
    with HostileOrigin(IMAGES) as origin, downloader(per_host=2, read_timeout=5, deadline=5) as download:
        threads = [
            threading.Thread(target=download.fetch, args=(origin.url("/latency/50/ok.jpg"), Bodies()))
            for _ in range(10)
        ]
        started = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=10)
        took = time.monotonic() - started
    assert origin.hits["/latency/50/ok.jpg"] == 10
    assert origin.connections == 2
    assert took >= 5 * 0.05
