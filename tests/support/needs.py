"""What a test needs on the machine (markers), and which skipped tests count as failed in CI.

The markers are registered in pyproject.toml. A test gets those of its fixtures automatically; others are set in its
file with `pytestmark`. `pytest -m "not browser and not redis"` leaves out what cannot be run here.
"""

import os
from collections.abc import Iterable

import pytest

FIXTURE_MARKERS = {
    "cluster": ("postgres", "s3"),
    "deployed": ("dagster_servers", "postgres", "s3"),
    "imgrelay": ("command",),
    "page": ("browser",),
    "seaweed": ("s3",),
    "served": ("dagster_servers",),
    "tiny_disk": ("root",),
}
"""The markers of every test that uses a fixture of this name."""

SERVERS = frozenset({"browser", "dagster_servers", "kubernetes", "postgres", "rabbitmq", "redis", "s3"})
"""Markers of tests that start a server. No test in tests/unit has one of them."""

ALLOWED_SKIPS = (
    "needs helm, and Dagster's chart in $IMGRELAY_DAGSTER_CHART",
    "needs node and azurite",
    "needs nginx, an optional test origin",
    "needs squid, an optional test origin",
    "needs haproxy, an optional test origin",
    "needs prometheus, an optional test server",
    "the optional tool",
    "a small file system can only be mounted by root",
    "needs ip and tc",
    "network namespaces can only be made by root",
    "the kernel has no traffic control",
)
"""Beginnings of the reasons for which a test may be skipped in CI. Any other skipped test is a failure there."""


def add_markers(items: Iterable[pytest.Item]) -> None:
    """Give each test the markers of its fixtures.

    Raises:
        pytest.UsageError: a unit test starts a server.
    """
    for item in items:
        for name in getattr(item, "fixturenames", ()):
            for marker in FIXTURE_MARKERS.get(name, ()):
                item.add_marker(marker)
        servers = SERVERS & {marker.name for marker in item.iter_markers()}
        if servers and item.nodeid.startswith("tests/unit/"):
            raise pytest.UsageError(f"{item.nodeid} needs {', '.join(servers)}: move it to tests/integration")


def in_ci() -> bool:
    return os.environ.get("CI", "").lower() in ("1", "true", "yes")


def fail_if_skipped_in_ci(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn the report of a skipped test into that of a failed one, in CI and unless it may be skipped there."""
    if not (in_ci() and report.skipped) or hasattr(report, "wasxfail"):
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    reason = reason.removeprefix("Skipped: ")
    if not reason.startswith(ALLOWED_SKIPS):
        report.outcome = "failed"
        report.longrepr = f"skipped in CI, where everything that tests need must be installed: {reason}"
