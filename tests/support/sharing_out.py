"""How test files are shared out among processes: the longest first, so that none is left to end alone.

End-to-end tests stay together: they share servers that take a while to start.
"""

from xdist.scheduler import LoadFileScheduling

TOGETHER = "tests/e2e/"

_END_TO_END = ("browser", "shards", "inbox", "notify", "daily")
_TESTS = (
    *("relay", "celery", "deploy", "outages", "celery_rabbitmq", "kubernetes_run"),
    *("cancel", "flood", "trouble", "leaks", "terminate"),
)
_TORTURE = ("crash", "cancel", "outages", "celery", "flood", "command")

LONGEST = (
    *(f"{TOGETHER}test_{name}.py" for name in _END_TO_END),
    *(f"tests/test_{name}.py" for name in _TESTS),
    *(f"tests/stress/test_{name}.py" for name in _TORTURE),
)
"""Files that take a minute and more. The end-to-end tests of daily drops come last: they wait for a time of day."""


def place(nodeid: str) -> int:
    """Where a test stands in the order of beginning."""
    file = nodeid.partition("::")[0]
    return LONGEST.index(file) if file in LONGEST else len(LONGEST)


class Scheduling(LoadFileScheduling):
    """`--dist loadfile` with the end-to-end tests as one file."""

    def _split_scope(self, nodeid: str) -> str:
        return TOGETHER if nodeid.startswith(TOGETHER) else super()._split_scope(nodeid)
