"""One instance under `dagster dev` for all end-to-end tests, whose servers are started once."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING

import pytest

from imgrelay_dagster.demo.origin import Origin
from tests.support.browser import chromium
from tests.support.dagster_servers import DagsterServers
from tests.support.ui import start_schedule
from tests.support.webhook import Webhook

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


def utc_now() -> datetime:
    return datetime.now(UTC)


OWNER = "team:pictures"
"""Owner of the daily assets."""

LATE_DAYS = 31
"""How many days before today sensor `late_manifests` checks."""

FIRST = 90
"""Days before today on which daily drops begin."""

PROFILES = """
profiles:
  small: {output: {format: webp, quality: 60}, key: "small/{name}-{hash}.{ext}"}
assets:
  - name: thumbnails
    profile: small
    manifests: "thumbnails/{day}.txt"
    description: Small pictures for the shop.
    owners: ["team:catalog", "anna@example.com"]
    kinds: [webp]
    tags: {domain: catalog}
"""
"""The profiles and daily assets of the instance."""

_TODAY = utc_now().date()
_untaken = (_TODAY - timedelta(days=before) for before in range(FIRST, LATE_DAYS, -1))


def day_before(days: int) -> str:
    """Return the partition key of the day `days` before today."""
    return (_TODAY - timedelta(days=days)).isoformat()


def own_days(count: int) -> list[str]:
    """Return consecutive days that no other test uses and that sensor `late_manifests` does not check."""
    return [day.isoformat() for day in islice(_untaken, count)]


@pytest.fixture(scope="package")
def webhook() -> Iterator[Webhook]:
    """Receives the notifications of failed and canceled runs."""
    with Webhook() as hook:
        yield hook


@pytest.fixture(scope="package")
def served(tmp_path_factory: pytest.TempPathFactory, webhook: Webhook, origin: Origin) -> Iterator[DagsterServers]:
    """`dagster dev` as a user starts it. Every test uses datasets and file names of its own, and takes `own_days`.

    Days of the last month belong to the test of sensor `late_manifests`, which would relay anything that lies there.
    """
    folder = tmp_path_factory.mktemp("e2e")
    inbox = folder / "inbox"
    inbox.mkdir()
    (folder / "profiles.yaml").write_text(PROFILES)
    drop_at = utc_now() + timedelta(minutes=3)
    with DagsterServers(
        folder,
        IMGRELAY_INBOX=str(inbox),
        IMGRELAY_PROFILES=str(folder / "profiles.yaml"),
        IMGRELAY_INBOX_INTERVAL="5",
        IMGRELAY_WEBHOOK_URL=webhook.url,
        IMGRELAY_FAILURES_LOG=str(folder / "failures.log"),
        IMGRELAY_FIRST_DAY=day_before(FIRST),
        IMGRELAY_DROP_AT=f"{drop_at:%H:%M}",
        IMGRELAY_SAMPLE_MANIFEST="sample.txt",
        IMGRELAY_FRESH_WITHIN="120",
        IMGRELAY_OWNERS=OWNER,
        IMGRELAY_LATE_INTERVAL="5",
        IMGRELAY_WATCH_INTERVAL="5",
    ) as instance:
        (instance.manifests / "thumbnails").mkdir()
        for day in (day_before(1), day_before(0)):  # midnight may come before the schedule's hour
            instance.write_manifest(f"thumbnails/{day}.txt", [origin.url(f"jpeg/small-dawn.jpg?thumbnail-{day}")])
        for schedule in ("daily_drop", "daily_drop_thumbnails"):
            start_schedule(instance, schedule)  # its hour comes while the tests go on, in whatever order
        yield instance


def requests_of_tests(origin: Origin) -> Counter[str]:
    """The origin's requests, without those of the schedule that runs while the tests go on."""
    return Counter({target: number for target, number in origin.hits.items() if "?thumbnail-" not in target})


@pytest.fixture(scope="package")
def browser() -> Iterator["Browser"]:
    """A headless Chromium. Tests that use it are skipped if none is installed."""
    with chromium() as started:
        yield started


@pytest.fixture
def page(browser: "Browser") -> Iterator["Page"]:
    """A page of the browser, with cookies and storage of its own."""
    opened = browser.new_page(viewport={"width": 1400, "height": 900})
    yield opened
    opened.close()
