"""A demo origin that answers slowly, so that a test has time to interrupt a run."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from imgrelay_dagster.demo import origin
from imgrelay_dagster.demo.server import Server


@contextmanager
def slow_origin(seconds: float) -> Iterator[origin.Origin]:
    """Start an origin that waits `seconds` before each answer. Other origins of this process are not affected."""

    class Slow(Server):
        def visit(self, target: str) -> int:
            time.sleep(seconds)
            return super().visit(target)

    server = origin.Origin()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(origin, "Server", Slow)
        server.start()
    with server:
        yield server
