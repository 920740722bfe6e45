"""Stopping: threads return at once wherever they hang, and nothing stays open."""

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
from imgrelay_dagster.relay.fetch.host_limiter import HostTurns
from tests.support.downloading import IMAGES, JPEG, Bodies, downloader, failure_of, open_sockets, resolver
from tests.support.hostile import HostileOrigin

PATIENT = {"read_timeout": 60, "deadline": 60, "connect_timeout": 60, "attempts": 3, "backoff": 60}


@contextmanager
def no_socket_left() -> Iterator[None]:
    """After the block, once the origin's own threads have ended, no more sockets are open than before."""
    before = open_sockets()
    yield
    ends = time.monotonic() + 2
    while open_sockets() > before and time.monotonic() < ends:
        time.sleep(0.02)
    assert open_sockets() == before


def stopped_after(download: Downloader, stop: threading.Event, urls: list[str]) -> tuple[float, list[object]]:
    """Fetch all URLs in threads, stop half a second later; return how long they took to end, and how."""
    ends: list[object] = []

    def fetch(url: str) -> None:
        try:
            ends.append(download.fetch(url, Bodies()))
        except (Stopped, EntryFailure) as end:
            ends.append(type(end))

    threads = [threading.Thread(target=fetch, args=(url,), daemon=True) for url in urls]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    stop.set()
    began = time.monotonic()
    for thread in threads:
        thread.join(timeout=10)
    return time.monotonic() - began, ends


def test_sixteen_hanging_threads_return_and_leave_no_socket() -> None:
    paths = ["/never", "/headers-then-hang", "/drip", "/drip-headers", "/no-length-then-hang", "/status/503"]
    stop = threading.Event()
    with no_socket_left():
        with HostileOrigin(IMAGES) as origin, downloader(stop=stop, **PATIENT) as download:
            download.fetch(origin.url("/ok.jpg"), Bodies())  # so that one of them hangs on a reused connection
            urls = [origin.url(paths[number % 6]) for number in range(15)]
            urls.append(origin.url("/in-the-handshake", scheme="https"))
            took, ends = stopped_after(download, stop, urls)
        assert ends == [Stopped] * 16
        assert took < 1


def test_waiting_for_a_turn_a_name_or_a_connection_ends_too() -> None:
    def silent(host: str, port: int) -> list[object]:
        time.sleep(3)
        return []

    stop = threading.Event()
    full = socket.create_server(("127.0.0.1", 0), backlog=0)
    port = full.getsockname()[1]
    callers = [socket.socket() for _ in range(4)]
    for caller in callers:  # fill the backlog: further connections are left unanswered
        caller.setblocking(False)
        caller.connect_ex(("127.0.0.1", port))
    try:
        with (
            HostileOrigin() as origin,
            downloader(stop=stop, resolve=silent, per_host=1, **PATIENT) as download,
        ):
            urls = [origin.url("/never")] * 3 + ["http://silent.test/", f"http://127.0.0.1:{port}/"]
            took, ends = stopped_after(download, stop, urls)
        assert origin.hits["/never"] <= 1
    finally:
        full.close()
        for caller in callers:
            caller.close()
    assert ends == [Stopped] * 5
    assert took < 1


def test_a_quick_stream_is_stopped_between_two_pieces() -> None:
    stop = threading.Event()
    with HostileOrigin() as origin, downloader(stop=stop, max_bytes=10**15, **PATIENT) as download:
        took, ends = stopped_after(download, stop, [origin.url("/endless")])
    assert (ends, took < 1) == ([Stopped], True)


def test_closing_does_not_wait_for_the_watchdog_s_next_round(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "_TICK", 3600.0)
    with HostileOrigin(IMAGES) as origin:
        with downloader() as download:
            download.fetch(origin.url("/ok.jpg"), Bodies())
        assert not [thread for thread in threading.enumerate() if thread.name == "watchdog"]


def test_once_stopped_nothing_is_begun() -> None:
    stop = threading.Event()
    stop.set()
    with HostileOrigin(IMAGES) as origin, downloader(stop=stop) as download:
        with pytest.raises(Stopped):
            download.fetch(origin.url("/ok.jpg"), Bodies())
        assert origin.connections == 0


def test_closing_ends_what_is_under_way_and_may_be_done_twice() -> None:
    with no_socket_left(), HostileOrigin(IMAGES) as origin:
        download = downloader(**PATIENT)
        ends: list[object] = []

        def fetch() -> None:
            try:
                download.fetch(origin.url("/never"), Bodies())
            except Stopped:
                ends.append(Stopped)

        thread = threading.Thread(target=fetch)
        thread.start()
        time.sleep(0.3)
        download.close()
        download.close()
        thread.join(timeout=2)
        assert ends == [Stopped]
        with pytest.raises(Stopped):
            download.fetch(origin.url("/ok.jpg"), Bodies())


def test_no_descriptor_leaks_over_hundreds_of_downloads_of_all_kinds() -> None:
    paths = ["/status/404", "/hang-up", "/redirect/2/ok.jpg", "/close-mid-body", "/endless", "/length-too-large"]
    paths += ["/no-length/ok.jpg", "/big-headers", "/redirect-endless", "/chunked-cut", "/empty", "/gzip-lie"]
    gc.collect()
    before = open_sockets()
    gc.disable()  # descriptors are closed in time, not when the garbage collector comes by
    try:
        with no_socket_left(), HostileOrigin(IMAGES) as origin, downloader(backoff=0.0) as download:
            for path in paths * 20:
                with suppress(EntryFailure):
                    download.fetch(origin.url(path), Bodies())
            assert min(origin.hits[path] for path in paths) == 20
            time.sleep(0.3)
            # At most two idle connections, each two descriptors here and one at the origin; and its listener.
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
            # 16 pools are kept; a connection is two descriptors here and one at the origin, beside its listener.
            assert open_sockets() <= before + 16 * 3 + 1
    finally:
        gc.enable()


def test_a_deadline_does_not_cut_the_next_download_on_the_same_connection() -> None:
    bodies = Bodies()
    with HostileOrigin(IMAGES) as origin, downloader(deadline=0.3, attempts=1) as download:
        for _ in range(10):  # ten times 0.1 s on one connection, each within its own deadline
            download.fetch(origin.url("/latency/100/ok.jpg"), bodies)
        assert bodies.whole == [JPEG] * 10
        assert origin.connections == 1
        failure_of(download, origin.url("/drip"))
        download.fetch(origin.url("/ok.jpg"), bodies)
        assert origin.connections == 2  # the one that was cut is not used again


def test_no_more_than_the_limit_are_in_flight_to_one_host() -> None:
    with HostileOrigin(IMAGES) as origin, downloader(per_host=2, read_timeout=5, deadline=5) as download:
        threads = [
            threading.Thread(target=download.fetch, args=(origin.url("/latency/50/ok.jpg"), Bodies()))
            for _ in range(10)
        ]
        began = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=10)
        took = time.monotonic() - began
    assert origin.hits["/latency/50/ok.jpg"] == 10
    assert origin.connections == 2
    assert took >= 5 * 0.05


def test_a_host_is_forgotten_when_it_is_idle() -> None:
    turns = HostTurns(1)
    with turns.at("a", lambda: None), turns.at("b", lambda: None):
        assert len(turns) == 2
        with pytest.raises(Stopped), turns.at("a", _stopped):
            pytest.fail("two turns at once")
        assert len(turns) == 2
    assert len(turns) == 0


def _stopped() -> None:
    raise Stopped
