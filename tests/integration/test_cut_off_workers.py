"""Celery workers and a run with networks of their own: a short cut of one network loses nothing and repeats nothing."""

from collections.abc import Iterator

import pytest

from tests.support.cut_off_workers import NEEDED, RUN, SERVICES, WORKERS, Cut, Testbed

pytestmark = NEEDED

SECONDS = 5.0
"""Without a network."""


@pytest.fixture(scope="module")
def bed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Testbed]:
    with Testbed(tmp_path_factory.mktemp("celery")) as started:
        yield started


@pytest.mark.parametrize("host", [WORKERS[0], RUN])
@pytest.mark.parametrize("direction", ["both", "outgoing", "incoming"])
def test_a_host_that_is_cut_off_for_seconds_loses_and_repeats_nothing(bed: Testbed, host: str, direction: str) -> None:
    """Cut it off from Redis, then from Postgres, then from the store, in both directions or in one."""
    outgoing, incoming = direction != "incoming", direction != "outgoing"
    cuts = [Cut(service, SECONDS, host, outgoing, incoming) for service in SERVICES]
    relayed = bed.relay(f"short-{host}-{direction}", cuts, limit=200)
    print(relayed)
    assert relayed.ran.code == 0, relayed.ran.err
    bed.check_stored(relayed)
    assert relayed.repeated <= relayed.repeated_downloads + relayed.attempts
