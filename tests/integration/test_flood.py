"""Manifests that come faster than they are looked at; a thousand of them are among the tests of `make torture`."""

from pathlib import Path

import pytest

from tests.support.flood import flood, idle_instance


@pytest.mark.timeout(900)
def test_a_flood_under_a_killed_daemon_is_neither_lost_nor_run_twice(tmp_path: Path):
    with idle_instance(tmp_path) as served:
        flood(served, 220)  # three looks
