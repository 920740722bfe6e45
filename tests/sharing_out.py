"""How test files are shared out among processes: the longest first, so that none is left to end alone.

End-to-end tests stay together: they share servers that take a while to start.
"""

from xdist.scheduler import LoadFileScheduling

TOGETHER = "tests/e2e/"

LONGEST = (
    *(f"{TOGETHER}test_{name}.py" for name in ("browser", "shards", "inbox", "notify", "daily")),
    "tests/torture/test_crash.py",
    "tests/torture/test_cancel.py",
    "tests/torture/test_outages.py",
    "tests/torture/test_celery.py",
    "tests/torture/test_flood.py",
    "tests/torture/test_command.py",
)
"""Files that take minutes. Of the end-to-end tests those of daily drops come last: they wait for a time of day."""


def place(nodeid: str) -> int:
    """Where a test stands in the order of beginning."""
    file = nodeid.partition("::")[0]
    return LONGEST.index(file) if file in LONGEST else len(LONGEST)


class Scheduling(LoadFileScheduling):
    """`--dist loadfile` with the end-to-end tests as one file."""

    def _split_scope(self, nodeid: str) -> str:
        return TOGETHER if nodeid.startswith(TOGETHER) else super()._split_scope(nodeid)
