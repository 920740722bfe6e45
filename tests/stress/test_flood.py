"""A thousand manifests in one second."""

from pathlib import Path

from tests.support.inbox_flood import flood, idle_instance


def test_a_thousand_in_one_second_under_a_killed_daemon_are_neither_lost_nor_run_twice(tmp_path: Path):
    with idle_instance(tmp_path) as served:
        flood(served, 1000)
