"""Downloads from a misbehaving server: the reason, the number of attempts and the limits for each misbehaviour."""

import errno
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgrelay_dagster.relay.errors import EntryFailure
from imgrelay_dagster.relay.fetch.downloader import Downloader
from imgrelay_dagster.relay.fetch.host_board import PrivateBoard
from imgrelay_dagster.relay.fetch.host_rate import RateState
from imgrelay_dagster.relay.outcomes import Reason
from tests.support.download_helpers import IMAGES, JPEG, Bodies, Body, downloader, failure_of, resolver
from tests.support.hostile_origin import HostileOrigin


@pytest.fixture(scope="module")
def origin() -> Iterator[HostileOrigin]:
    with HostileOrigin(IMAGES) as server:
        yield server


@pytest.fixture
def fresh() -> Iterator[HostileOrigin]:
    """A new origin for one test, which counts connections or requests."""
    with HostileOrigin(IMAGES) as server:
        yield server


@pytest.fixture(scope="module")
def download() -> Iterator[Downloader]:
    with downloader() as shared:
        yield shared


@pytest.mark.parametrize(
    ("path", "body"),
    [
        *(("/ok.jpg", JPEG), ("/status/203", b"no"), ("/latency/30/ok.jpg", JPEG), ("/html", None)),
        *(("/no-length/ok.jpg", JPEG), ("/chunked/ok.jpg", JPEG), ("/gzipped/ok.jpg", JPEG)),
        *(("/deflated/zlib/ok.jpg", JPEG), ("/deflated/raw/ok.jpg", JPEG)),
        *(("/encoding/aws-chunked/ok.jpg", JPEG), ("/encoding/br/ok.jpg", JPEG)),
        *(("/redirect/5/ok.jpg", JPEG), ("/redirect-endless", None)),
        *((f"/redirect/1/ok.jpg?code={code}", JPEG) for code in (301, 302, 303, 307, 308)),
    ],
)
def test_a_body_is_received_completely_in_every_transfer_form(
    origin: HostileOrigin, download: Downloader, path: str, body: bytes | None
) -> None:
    bodies = Bodies()
    fetched = download.fetch(origin.url(path), bodies)
    assert len(bodies.whole) == 1
    assert bodies.whole[0] == (body or bodies.whole[0])
    assert fetched.bytes_in == len(bodies.whole[0]) > 0
    assert (fetched.attempts, bodies.abandoned) == (1, 0)
    assert fetched.http_status == (203 if path == "/status/203" else 200)


@pytest.mark.parametrize(
    ("path", "reason", "status", "attempts"),
    [
        *((f"/status/{code}", Reason.HTTP_STATUS, code, 1) for code in (201, 204, 205, 206, 300, 304)),
        *((f"/status/{code}", Reason.HTTP_STATUS, code, 1) for code in (400, 401, 403, 404, 410, 451)),
        *((f"/status/{code}", Reason.HTTP_STATUS, code, 2) for code in (408, 420, 425, 429, 500, 503, 509, 521)),
        ("/redirect-nowhere", Reason.HTTP_STATUS, 302, 1),
        ("/never", Reason.TIMEOUT, None, 2),
        ("/headers-then-hang", Reason.TIMEOUT, 200, 2),
        ("/no-length-then-hang", Reason.TIMEOUT, 200, 2),
        ("/length-too-large", Reason.TOO_LARGE, 200, 1),
        ("/length-too-small/ok.jpg", Reason.TRUNCATED, 200, 2),
        ("/endless", Reason.TOO_LARGE, 200, 1),
        ("/gzip-bomb", Reason.TOO_LARGE, 200, 1),
        ("/close-mid-body", Reason.TRUNCATED, 200, 2),
        ("/reset-mid-body", Reason.TRUNCATED, 200, 2),
        ("/chunked-broken", Reason.TRUNCATED, 200, 2),
        ("/chunked-cut", Reason.TRUNCATED, 200, 2),
        ("/gzip-cut", Reason.TRUNCATED, 200, 2),
        ("/gzip-lie", Reason.CORRUPT_IMAGE, 200, 1),
        ("/gzip-bomb/2?layers=2", Reason.TOO_LARGE, 200, 1),
        ("/empty", Reason.EMPTY_BODY, 200, 1),
        ("/hang-up", Reason.CONNECT_ERROR, None, 2),
        ("/not-http", Reason.CONNECT_ERROR, None, 2),
        ("/interim/101/ok.jpg", Reason.HTTP_STATUS, 101, 1),
        ("/interim-endless", Reason.CONNECT_ERROR, None, 2),
        ("/big-headers", Reason.CONNECT_ERROR, None, 2),
        ("/many-headers", Reason.CONNECT_ERROR, None, 2),
        ("/lengths-differ", Reason.CONNECT_ERROR, None, 2),
        ("/redirect/6/ok.jpg", Reason.TOO_MANY_REDIRECTS, 302, 1),
        ("/redirect-loop", Reason.TOO_MANY_REDIRECTS, 301, 1),
        ("/redirect-to?u=ftp://h/a.jpg", Reason.BAD_URL, 302, 1),
        ("/redirect-to?u=file:///etc/passwd", Reason.BAD_URL, 302, 1),
        ("/redirect-to?u=http://[/", Reason.BAD_URL, 302, 1),
        ("/redirect-to?u=http://h:99999/", Reason.BAD_URL, 302, 1),
    ],
)
def test_each_misbehaviour_has_its_reason_and_is_retried_only_if_transient(
    origin: HostileOrigin, path: str, reason: Reason, status: int | None, attempts: int
) -> None:
    requested, bodies = path.partition("?")[0], Bodies()
    before = origin.hits[requested]
    with downloader() as download:
        failure = failure_of(download, origin.url(path), bodies)
    assert (failure.reason, failure.http_status) == (reason, status)
    assert failure.attempts == attempts
    assert origin.hits[requested] - before == attempts
    assert bodies.whole == []


@pytest.mark.parametrize("status", [100, 101, 102, 103, 199])
def test_an_interim_response_never_leads_to_the_body_of_another_url(origin: HostileOrigin, status: int) -> None:
    """Both URLs are requested on one connection if it is kept, and the final response comes late."""
    other = b"\xff\xd8" + b"another" * 40
    origin.images = {**IMAGES, "/other.jpg": (other, "image/jpeg")}
    first, bodies = Bodies(), Bodies()
    with downloader() as download:
        if status == 101:
            assert failure_of(download, origin.url("/interim/101/other.jpg"), first).reason is Reason.HTTP_STATUS
        else:
            download.fetch(origin.url(f"/interim/{status}/other.jpg"), first)
        download.fetch(origin.url("/ok.jpg"), bodies)
    assert first.whole == ([] if status == 101 else [other])
    assert bodies.whole == [JPEG]


_NAMES = (
    *(b"Content-Length", b"Transfer-Encoding", b"Content-Encoding", b"Location", b"Retry-After"),
    *(b"Content-Type", b"Set-Cookie", b"Connection", b"", b" folded", b"X"),
)
_HEADER = st.builds(
    lambda name, value: name + b": " + value + b"\r\n",
    st.sampled_from(_NAMES),
    st.sampled_from([b"2", b"-1", b"chunked", b"gzip", b"close", b"//[", b"image/jpeg; charset=;"])
    | st.binary(max_size=12),
)


@settings(max_examples=150, deadline=None)
@given(
    status=st.sampled_from([b"HTTP/1.1 200 OK", b"HTTP/1.0 302", b"HTTP/1.1 100 Continue", b"HTTP/9 999 x"])
    | st.binary(max_size=20),
    headers=st.lists(_HEADER, max_size=5),
    body=st.binary(max_size=30),
)
def test_any_response_is_a_body_or_a_failure_with_a_reason(
    origin: HostileOrigin, download: Downloader, status: bytes, headers: list[bytes], body: bytes
) -> None:
    data = status + b"\r\n" + b"".join(headers) + b"\r\n" + body
    bodies = Bodies()
    try:
        fetched = download.fetch(origin.url(f"/raw?hex={data.hex()}"), bodies)
    except EntryFailure:
        assert bodies.whole == []
    else:
        assert len(bodies.whole[0]) == fetched.bytes_in > 0


@pytest.mark.parametrize("url", ["ftp://h/a.jpg", "h/a.jpg", "http://", "http://h:0/", "http://h/\n", "http://[::1/"])
def test_an_invalid_url_is_not_requested(download: Downloader, url: str) -> None:
    failure = failure_of(download, url)
    assert (failure.reason, failure.attempts) == (Reason.BAD_URL, 0)


def test_an_unknown_name_is_final_and_a_silent_name_server_is_retried() -> None:
    def silent(host: str, port: int) -> list[object]:
        time.sleep(3)
        return []

    with downloader(resolve=resolver()) as download:
        failure = failure_of(download, "http://nowhere.test/")
        assert (failure.reason, failure.attempts) == (Reason.DNS_ERROR, 1)
    with downloader(resolve=silent, connect_timeout=0.2) as download:
        started = time.monotonic()
        failure = failure_of(download, "http://nowhere.test/")
        assert (failure.reason, failure.attempts) == (Reason.DNS_ERROR, 2)
        assert time.monotonic() - started < 1


def test_a_closed_port_is_a_connect_error(download: Downloader) -> None:
    with HostileOrigin() as gone:
        url = gone.url("/ok.jpg")
    failure = failure_of(download, url)
    assert (failure.reason, failure.attempts) == (Reason.CONNECT_ERROR, 2)
    assert "Connection refused" in failure.detail


@pytest.mark.parametrize("path", ["/drip", "/drip-headers", "/drip-location", "/in-the-handshake"])
def test_the_deadline_ends_a_download_from_a_server_that_keeps_sending(fresh: HostileOrigin, path: str) -> None:
    # A server without TLS reads the ClientHello as an incomplete request, and waits for its end.
    scheme = "https" if path == "/in-the-handshake" else None
    with downloader(attempts=1, deadline=0.7, read_timeout=5, connect_timeout=5) as download:
        started = time.monotonic()
        failure = failure_of(download, fresh.url(path, scheme=scheme))
        took = time.monotonic() - started
    assert failure.reason is Reason.TIMEOUT
    assert 0.6 < took < 1.2
    assert not fresh.hits.keys() - {path}  # an incomplete Location is not followed


def test_the_body_of_a_redirect_is_not_waited_for(fresh: HostileOrigin) -> None:
    with downloader(deadline=5, read_timeout=5) as download:
        started = time.monotonic()
        assert failure_of(download, fresh.url("/drip-redirect")).reason is Reason.TOO_MANY_REDIRECTS
        assert time.monotonic() - started < 1


def test_the_deadline_covers_all_redirects_together(fresh: HostileOrigin) -> None:
    slow = fresh.url("/redirect-to?u=/latency/400/ok.jpg")
    with downloader(attempts=1, deadline=0.3, read_timeout=5) as download:
        assert failure_of(download, slow).reason is Reason.TIMEOUT


def test_images_of_flaky_servers_are_downloaded_after_retries(fresh: HostileOrigin) -> None:
    bodies = Bodies()
    with downloader(attempts=3) as download:
        assert download.fetch(fresh.url("/flaky-reset/1/ok.jpg"), bodies).attempts == 2
        assert download.fetch(fresh.url("/flaky/2/ok.jpg"), bodies).attempts == 3
        assert failure_of(download, fresh.url("/flaky/3/ok.jpg")).attempts == 3
    assert bodies.whole == [JPEG, JPEG]
    assert fresh.hits["/flaky/2/ok.jpg"] == 3


@pytest.mark.parametrize(
    ("retry_after", "waited"), [("7", 7.0), ("999999", 30.0), ("Fri, 31 Dec 2199 23:59:59 GMT", 30.0)]
)
def test_retry_after_is_honoured_up_to_its_cap(fresh: HostileOrigin, retry_after: str, waited: float) -> None:
    waits: list[float] = []
    path = "/retry-after/" + retry_after.replace(" ", "%20")
    with downloader(pause=waits.append, retry_after_cap=30.0) as download:
        fetched = download.fetch(fresh.url(path), Bodies())
    assert waits == [waited]
    assert fetched.attempts == 2


def test_an_error_of_the_sink_is_not_reported_as_a_network_failure(fresh: HostileOrigin) -> None:
    class Full(Body):
        def write(self, _: bytes) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

    bodies = Bodies()
    with downloader() as download, pytest.raises(OSError, match="No space left"):
        download.fetch(fresh.url("/ok.jpg"), lambda: Full(bodies))
    assert bodies.abandoned == 1
    assert fresh.hits["/ok.jpg"] == 1


def test_an_incomplete_body_is_discarded_before_each_retry(fresh: HostileOrigin) -> None:
    bodies = Bodies()
    with downloader(attempts=3) as download:
        failure_of(download, fresh.url("/close-mid-body"), bodies)
    assert (bodies.whole, bodies.abandoned) == ([], 3)


def test_a_body_of_exactly_the_limit_is_accepted_and_one_byte_more_is_not(fresh: HostileOrigin) -> None:
    with downloader(max_bytes=len(JPEG)) as download:
        for path in ("/ok.jpg", "/chunked/ok.jpg", "/gzipped/ok.jpg"):
            assert download.fetch(fresh.url(path), Bodies()).bytes_in == len(JPEG)
    with downloader(max_bytes=len(JPEG) - 1) as download:
        for path in ("/ok.jpg", "/chunked/ok.jpg", "/gzipped/ok.jpg"):
            assert failure_of(download, fresh.url(path)).reason is Reason.TOO_LARGE


def test_connections_are_reused_even_after_small_error_responses_and_redirects(fresh: HostileOrigin) -> None:
    with downloader() as download:
        for _ in range(20):
            download.fetch(fresh.url("/ok.jpg"), Bodies())
            download.fetch(fresh.url("/redirect/2/ok.jpg"), Bodies())
            failure_of(download, fresh.url("/status/404"))
    assert fresh.connections == 1


def test_a_thousand_downloads_share_sixteen_connections(fresh: HostileOrigin) -> None:
    with downloader() as download, ThreadPoolExecutor(16) as pool:
        sizes = list(pool.map(lambda _: download.fetch(fresh.url("/ok.jpg"), Bodies()).bytes_in, range(1000)))
    assert sizes == [len(JPEG)] * 1000
    assert fresh.hits["/ok.jpg"] == 1000
    assert fresh.connections <= 16


def test_a_file_can_be_a_sink(fresh: HostileOrigin, tmp_path: Path) -> None:
    with downloader() as download:
        download.fetch(fresh.url("/ok.jpg"), lambda: (tmp_path / "body").open("wb"))
    assert (tmp_path / "body").read_bytes() == JPEG


class CutOffBoard(PrivateBoard):
    """A board in a store that answers late, as after a cut of the network."""

    def read(self) -> dict[str, RateState]:
        time.sleep(4.0)
        return {}


def test_a_download_is_not_deferred_because_the_board_of_the_hosts_answers_late(fresh: HostileOrigin) -> None:
    with downloader(board=CutOffBoard()) as download:
        assert download.fetch(fresh.url("/ok.jpg"), Bodies(), defer_after=lambda: 3.0).attempts == 1
