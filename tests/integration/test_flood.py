"""Manifests that arrive faster than the inbox is scanned. `make stress` does the same with a thousand manifests."""

from pathlib import Path

import pytest

from tests.support.inbox_flood import flood, idle_instance


@pytest.mark.dagster_servers
@pytest.mark.timeout(900)
def test_no_manifest_is_lost_or_run_twice_when_the_daemon_is_killed(tmp_path: Path):
    with idle_instance(tmp_path) as served:
        flood(served, 220)  # three scans
