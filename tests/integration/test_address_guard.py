"""The address guard in downloads: no spelling, redirect or name leads to a connection to an internal address."""

import socket
from collections.abc import Iterator

import pytest

from imgrelay_dagster.relay.outcomes import Reason
from tests.support.download_helpers import IMAGES, JPEG, Bodies, downloader, failure_of, resolver
from tests.support.hostile_origin import HostileOrigin


@pytest.fixture
def internal_service() -> Iterator[HostileOrigin]:
    """A server that must not be connected to."""
    with HostileOrigin(IMAGES) as origin:
        yield origin


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "127.1", "localhost", "LOCALHOST"),
        *("0.0.0.0", "0", "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]"),
    ],
)
def test_no_spelling_of_loopback_reaches_an_internal_service(internal_service: HostileOrigin, host: str) -> None:
    with downloader("8.8.8.8") as download:
        failure = failure_of(download, internal_service.url("/ok.jpg", host))
    assert failure.reason is Reason.BLOCKED_ADDRESS
    assert internal_service.connections == 0


@pytest.mark.parametrize("host", ["127.0.0.1.", "localhost.", "127.0.0.1%2e", "%6c%6f%63alhost"])
def test_spellings_that_some_resolvers_refuse_do_not_reach_an_internal_service(
    internal_service: HostileOrigin, host: str
) -> None:
    with downloader("8.8.8.8") as download:
        failure = failure_of(download, internal_service.url("/ok.jpg", host))
    assert failure.reason in {Reason.BLOCKED_ADDRESS, Reason.DNS_ERROR, Reason.BAD_URL}
    assert internal_service.connections == 0


@pytest.mark.parametrize("target", ["127.0.0.1", "2130706433", "inside.test", "[::ffff:127.0.0.1]"])
def test_a_redirect_to_an_internal_address_is_not_followed(internal_service: HostileOrigin, target: str) -> None:
    # The exemption of a host does not apply to the targets of its redirects.
    resolve = resolver(open="127.0.0.1", inside="127.0.0.1", **{"2130706433": "127.0.0.1"})
    with HostileOrigin() as origin, downloader("open.test", resolve=resolve) as download:
        url = origin.url(f"/redirect-to?u={internal_service.url('/ok.jpg', target)}", "open.test")
        failure = failure_of(download, url)
    assert failure.reason is Reason.BLOCKED_ADDRESS
    assert failure.attempts == 1
    assert internal_service.connections == 0


def test_a_name_is_resolved_once_for_both_the_check_and_the_connection() -> None:
    answers = iter(["127.0.0.2", "127.0.0.1", "10.0.0.1"])
    resolved: list[str] = []

    def rebinding(host: str, port: int) -> list[tuple[socket.AddressFamily, str]]:
        resolved.append(host)
        return [(socket.AF_INET, next(answers))]

    bodies = Bodies()
    with HostileOrigin(IMAGES, host="127.0.0.2") as origin:
        with downloader("127.0.0.2", resolve=rebinding) as download:
            download.fetch(origin.url("/ok.jpg", "rebinding.test"), bodies)
        assert resolved == ["rebinding.test"]
        assert bodies.whole == [JPEG]

        # A new connection resolves and checks the name again.
        with downloader("127.0.0.2", resolve=rebinding) as download:
            failure = failure_of(download, origin.url("/ok.jpg", "rebinding.test"))
        assert failure.reason is Reason.BLOCKED_ADDRESS
        assert origin.connections == 1


def test_blocked_and_dead_addresses_of_a_host_are_skipped() -> None:
    resolve = resolver(several="10.0.0.1 127.0.0.3 127.0.0.2")
    bodies = Bodies()
    with (
        HostileOrigin(IMAGES, host="127.0.0.2") as origin,
        downloader("127.0.0.2", "127.0.0.3", resolve=resolve, attempts=1) as download,
    ):
        fetched = download.fetch(origin.url("/ok.jpg", "several.test"), bodies)
    assert bodies.whole == [JPEG]
    assert fetched.attempts == 1
    assert fetched.seconds < 0.5  # 10.0.0.1, which would not answer, was not tried
