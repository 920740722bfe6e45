"""A host that is cut off from a service for longer than the time after which the steps of a worker go to others."""

from collections import Counter
from collections.abc import Iterator

import pytest

from tests.support.cut_off_workers import ALL_WORKERS, LOST_AFTER, NEEDED, RUN, SERVICES, WORKERS, Cut, Testbed

pytestmark = NEEDED

SECONDS = 1.5 * LOST_AFTER
"""Without a network."""


@pytest.fixture(scope="module")
def bed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Testbed]:
    with Testbed(tmp_path_factory.mktemp("celery")) as started:
        yield started


@pytest.mark.parametrize("direction", ["both", "outgoing", "incoming"])
@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("host", [WORKERS[0], RUN])
def test_a_long_cut_loses_nothing(bed: Testbed, host: str, service: str, direction: str) -> None:
    """The run may fail if two workers did the same step, or without the store; the next launch then does the rest.

    A run that ends while its own process has no store leaves its scratch space to the next launch.
    """
    name = f"long-{host}-{service}-{direction}"
    cut = Cut(service, SECONDS, host, outgoing=direction != "incoming", incoming=direction != "outgoing")
    relayed = bed.relay(name, [cut], limit=400)
    print(f"{name}: {relayed}")
    rows, staged = relayed.rows, bed.cluster.objects("staging/")
    assert not staged or relayed.ran.code or (host, service) == (RUN, "store")
    if relayed.ran.code or staged:
        print(relayed.ran.err)
        rows = bed.relay_again(name, limit=200)
        assert bed.cluster.objects("staging/") == {}
    assert {row["outcome"] for row in rows} <= {"uploaded", "unchanged"}
    assert {row["key"] for row in rows} <= bed.cluster.images("framed").keys()
    if relayed.ran.code == 0:
        assert relayed.repeated <= relayed.repeated_downloads + relayed.attempts


def test_without_a_store_the_run_ends_and_the_next_launch_does_the_rest(bed: Testbed) -> None:
    """The requests of all workers arrive at the store, and its responses are lost."""
    relayed = bed.relay("all-store", [Cut("store", 3 * LOST_AFTER, ALL_WORKERS, outgoing=False)], limit=400)
    print(f"{relayed}: {relayed.ran.err}")
    outcomes = Counter(row["outcome"] for row in relayed.rows)
    assert relayed.ran.code == 1
    assert outcomes.keys() == {"uploaded", "not_attempted"}
    again = bed.relay_again("all-store", limit=200)
    assert {row["outcome"] for row in again} <= {"uploaded", "unchanged"}
    assert sum(row["outcome"] == "uploaded" for row in again) <= outcomes["not_attempted"]
    assert {row["key"] for row in again} <= bed.cluster.images("framed").keys()
    assert bed.cluster.objects("staging/") == {}
