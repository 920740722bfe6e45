"""How tests are divided among processes: the longest groups first, so that none of them is still running at the end.

A group is run by one process. It is a file, unless the tables below say otherwise.
"""

from xdist.scheduler import LoadFileScheduling

SHARED_SERVERS = {
    "tests/e2e/test_shards.py": "e2e: runs that follow from others",
    "tests/e2e/test_daily.py": "e2e: runs that follow from others",
    "tests/e2e/test_browser.py": "e2e: what users do",
    "tests/e2e/test_inbox.py": "e2e: what users do",
    "tests/e2e/test_dagster_ways.py": "e2e: what users do",
    "tests/e2e/test_runs_command.py": "e2e: what users do",
    "tests/e2e/test_notify.py": "e2e: what users do",
    "tests/e2e/test_metrics.py": "e2e: what users do",
    "tests/e2e/test_reexecution.py": "e2e: what users do",
    "tests/e2e/test_profiles.py": "e2e: runs that follow from others",
}
"""Files by the group that they form with others, because they share servers that take a while to start.

The order is that in which they are run: the test of daily manifests waits for a time of day, so it comes late.
"""

INDEPENDENT = tuple(
    f"tests/integration/test_{name}.py"
    for name in ("relay", "outages", "hostile_run", "cancel", "leaks", "cli", "definitions", "docs", "stages")
)
"""Files whose tests share no server, so that each test is a group."""

BY_PARAMETER = ("tests/integration/test_celery_stop.py",)
"""Files whose servers are shared by the tests with the same parameter, so that these are a group."""

LONGEST = (
    "tests/e2e/test_shards.py",
    "tests/e2e/test_daily.py",
    "tests/e2e/",
    "tests/integration/test_celery.py",
    "tests/integration/test_celery_stop.py",
    "tests/deploy/test_kubernetes_run.py",
    "tests/deploy/test_deploy.py",
    "tests/integration/test_celery_servers.py",
    "tests/integration/test_flood.py",
    "tests/integration/test_celery_rabbitmq.py",
    "tests/integration/test_terminate.py",
    "tests/integration/test_relay_pictures.py",
    "tests/integration/test_outages.py",
    "tests/integration/test_relay.py",
    "tests/integration/test_cancel.py",
    "tests/integration/test_hostile_run.py",
    "tests/integration/test_docs.py",
    "tests/integration/test_tables.py",
    "tests/integration/test_leaks.py",
    "tests/integration/test_capacity.py",
    "tests/integration/",
    "tests/fuzz/",
    *(
        f"tests/stress/test_{name}.py"
        for name in ("crash", "cloud_stores", "cancel", "outages", "celery", "flood", "command")
    ),
)
"""The beginnings of the names of slow tests, the slowest first."""


def place(nodeid: str) -> tuple[int, int]:
    """Return the place of a test in the order in which tests are handed out."""
    longest = next((number for number, name in enumerate(LONGEST) if nodeid.startswith(name)), len(LONGEST))
    file = nodeid.partition("::")[0]
    return longest, [*SHARED_SERVERS].index(file) if file in SHARED_SERVERS else 0


def group_of(nodeid: str) -> str:
    """Return the group of a test."""
    file = nodeid.partition("::")[0]
    if file in BY_PARAMETER:
        return f"{file} {nodeid.partition('[')[2]}"
    return SHARED_SERVERS.get(file) or (nodeid if file in INDEPENDENT else file)


class Scheduling(LoadFileScheduling):
    """`--dist loadfile` with these groups."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)
