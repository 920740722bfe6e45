"""How tests are shared out among processes: the longest groups first, so that no process is left with one at the end.

A group is run by one process. It is a file, unless the tables below say otherwise.
"""

from xdist.scheduler import LoadFileScheduling

SHARED_SERVERS = ("tests/e2e/",)
"""Folders whose files share servers that take a while to start, and so are one group."""

SHARED_PICTURES = "test_relay.py: compares pictures"
COMPARING_PICTURES = (
    "tests/integration/test_relay.py::test_every_image_arrives_in_s3",
    "tests/integration/test_relay.py::test_every_kind_of_picture_looks",
)
"""Tests that share what the pictures should look like, which costs seconds to compute."""

INDEPENDENT = tuple(
    f"tests/integration/test_{name}.py"
    for name in ("relay", "outages", "hostile_run", "cancel", "leaks", "cli", "definitions", "docs", "stages", "cost")
)
"""Files whose tests share no server, so that each test is a group."""

LONGEST = (
    *SHARED_SERVERS,
    "tests/integration/test_celery.py",
    *COMPARING_PICTURES,
    "tests/deploy/test_kubernetes_run.py",
    "tests/integration/test_flood.py",
    "tests/deploy/test_deploy.py",
    "tests/integration/test_terminate.py",
    "tests/integration/test_celery_rabbitmq.py",
    "tests/integration/test_relay.py::test_a_hundred_thousand",
    "tests/integration/test_outages.py",
    "tests/integration/test_relay.py",
    "tests/integration/test_cancel.py",
    "tests/integration/test_hostile_run.py",
    "tests/integration/test_docs.py::test_the_commands",
    "tests/integration/test_tables.py",
    "tests/integration/test_leaks.py",
    "tests/integration/test_capacity.py",
    "tests/integration/",
    "tests/fuzz/",
    *(f"tests/stress/test_{name}.py" for name in ("crash", "cancel", "outages", "celery", "flood", "command")),
)
"""What takes long, the longest first: beginnings of the names of tests."""

_E2E_ORDER = ("browser", "shards", "inbox", "notify", "daily")
"""The end-to-end tests of daily manifests come last: they wait for a time of day."""


def place(nodeid: str) -> tuple[int, int]:
    """Where a test stands in the order in which tests are handed out."""
    group = next((number for number, name in enumerate(LONGEST) if nodeid.startswith(name)), len(LONGEST))
    name = nodeid.partition("::")[0].rpartition("/test_")[2].removesuffix(".py")
    return group, _E2E_ORDER.index(name) if name in _E2E_ORDER else 0


def group_of(nodeid: str) -> str:
    """The group that a test belongs to."""
    for folder in SHARED_SERVERS:
        if nodeid.startswith(folder):
            return folder
    if nodeid.startswith(COMPARING_PICTURES):
        return SHARED_PICTURES
    file = nodeid.partition("::")[0]
    return nodeid if file in INDEPENDENT else file


class Scheduling(LoadFileScheduling):
    """`--dist loadfile` with these groups."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)
