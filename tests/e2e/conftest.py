"""One served instance for every end-to-end test: starting webserver, daemon and code server takes a while."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from tests.instance import Served


def utc_now() -> datetime:
    return datetime.now(UTC)


def day_before(days: int) -> str:
    """The day so many days before today, as its partition is named."""
    return (utc_now() - timedelta(days=days)).date().isoformat()


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """`dagster dev` as a user starts it. Every test uses days, datasets and file names of its own.

    Days of the last month belong to the test of sensor `late_manifests`, which would relay anything that lies there.
    """
    folder = tmp_path_factory.mktemp("e2e")
    inbox = folder / "inbox"
    inbox.mkdir()
    drop_at = utc_now() + timedelta(minutes=3)
    with Served(
        folder,
        IMGRELAY_INBOX=str(inbox),
        IMGRELAY_INBOX_INTERVAL="5",
        IMGRELAY_FIRST_DAY=day_before(60),
        IMGRELAY_DROP_AT=f"{drop_at:%H:%M}",
    ) as instance:
        yield instance
