"""A demo origin that takes its time, so that there is time to hit something."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from imgrelay_dagster.demo import origin
from imgrelay_dagster.demo.server import Server


@contextmanager
def slow_origin(seconds: float) -> Iterator[origin.Origin]:
    """An origin of its own that waits so long before each answer; others in this process stay quick."""

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
