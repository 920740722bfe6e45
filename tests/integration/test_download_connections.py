"""Kept connections of a download: a server may close one while the next request is on its way."""

import ssl

import pytest

from imgrelay_dagster.relay.outcomes import Reason
from tests.support.certificate import make_certificate
from tests.support.download_helpers import IMAGES, JPEG, Bodies, downloader, failure_of
from tests.support.hostile_origin import HostileOrigin


@pytest.mark.parametrize("end", ["close", "reset"])
def test_a_kept_connection_that_closes_without_a_response_costs_no_attempt(end: str) -> None:
    bodies = Bodies()
    with HostileOrigin(IMAGES) as origin, downloader(attempts=1) as download:
        attempts = [download.fetch(origin.url(f"/once-a-connection/{end}/ok.jpg"), bodies).attempts for _ in range(20)]
    assert attempts == [1] * 20
    assert bodies.whole == [JPEG] * 20
    assert origin.connections == 20


def test_the_same_over_tls(tmp_path_factory: pytest.TempPathFactory) -> None:
    certificate = make_certificate(tmp_path_factory.mktemp("tls"))
    bodies = Bodies()
    with (
        HostileOrigin(IMAGES, tls=certificate) as origin,
        downloader(attempts=1, tls=ssl.create_default_context(cafile=certificate[0])) as download,
    ):
        for _ in range(5):
            download.fetch(origin.url("/once-a-connection/close/ok.jpg"), bodies)
    assert bodies.whole == [JPEG] * 5
    assert origin.connections == 5


def test_a_new_connection_that_closes_without_a_response_is_an_attempt() -> None:
    with HostileOrigin(IMAGES) as origin, downloader(attempts=2) as download:
        download.fetch(origin.url("/ok.jpg"), Bodies())
        failure = failure_of(download, origin.url("/hang-up"))
    assert (failure.reason, failure.attempts) == (Reason.CONNECT_ERROR, 2)
    assert origin.hits["/hang-up"] == 3  # the first over the kept connection, which does not count
