"""One served instance for every end-to-end test: starting webserver, daemon and code server takes a while."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING

import pytest

from tests.support.browser import chromium
from tests.support.hooks import Webhook
from tests.support.instance import Served
from tests.support.ui import start_schedule

if TYPE_CHECKING:
    from playwright.sync_api import Page


def utc_now() -> datetime:
    return datetime.now(UTC)


LATE_DAYS = 31
"""Days before today that sensor `late_manifests` looks at."""

FIRST = 90
"""Days before today on which daily drops begin."""

_TODAY = utc_now().date()
_untaken = (_TODAY - timedelta(days=before) for before in range(FIRST, LATE_DAYS, -1))


def day_before(days: int) -> str:
    """The day so many days before today, as its partition is named."""
    return (_TODAY - timedelta(days=days)).isoformat()


def own_days(count: int) -> list[str]:
    """So many days in a row that no other test has and that sensor `late_manifests` does not look at."""
    return [day.isoformat() for day in islice(_untaken, count)]


@pytest.fixture(scope="package")
def webhook() -> Iterator[Webhook]:
    """Is told of runs that fail or are cancelled."""
    with Webhook() as hook:
        yield hook


@pytest.fixture(scope="package")
def served(tmp_path_factory: pytest.TempPathFactory, webhook: Webhook) -> Iterator[Served]:
    """`dagster dev` as a user starts it. Every test uses datasets and file names of its own, and takes `own_days`.

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
        IMGRELAY_WEBHOOK_URL=webhook.url,
        IMGRELAY_FAILURES_LOG=str(folder / "failures.log"),
        IMGRELAY_FIRST_DAY=day_before(FIRST),
        IMGRELAY_DROP_AT=f"{drop_at:%H:%M}",
        IMGRELAY_SAMPLE_MANIFEST="sample.txt",
        IMGRELAY_LATE_INTERVAL="5",
        IMGRELAY_WATCH_INTERVAL="5",
    ) as instance:
        start_schedule(instance, "daily_drop")  # its hour comes while the tests go on, in whatever order
        yield instance


@pytest.fixture
def page() -> Iterator["Page"]:
    """A page of a headless Chromium; the test is skipped where none can be started."""
    with chromium() as browser:
        yield browser.new_page(viewport={"width": 1400, "height": 900})
