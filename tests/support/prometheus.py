"""A real Prometheus server for the tests, on the loopback address.

with Prometheus(folder, config) as server:
    server.query("up")
"""

import json
import shutil
import signal
import subprocess
import urllib.parse
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from imgrelay_dagster.demo import child
from imgrelay_dagster.demo.ports import HOST, free_ports
from tests.support.command import until

MISSING = "needs prometheus, an optional test server"
"""Reason of a skip where it is not installed (Debian: apt-get install prometheus)."""


def installed() -> bool:
    """Whether `prometheus` and `promtool` are installed."""
    return shutil.which("prometheus") is not None and shutil.which("promtool") is not None


class Prometheus:
    """A Prometheus server with this config file, running between `with` and its end."""

    def __init__(self, folder: Path, config: Path) -> None:
        self._folder, self._config = folder, config
        (self._port,) = free_ports(1)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        command = [
            shutil.which("prometheus") or "",
            f"--config.file={self._config}",
            f"--storage.tsdb.path={self._folder / 'data'}",
            f"--web.listen-address={HOST}:{self._port}",
            "--log.level=warn",
        ]
        with (self._folder / "output").open("ab") as output:
            self._process = child.start(command, environment={}, death_signal=signal.SIGKILL, output=output)
        try:
            until(self._answers, 60, f"Prometheus answers; {self._folder / 'output'} says why not")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            child.stop(self._process, seconds=10)

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series that an expression has now; each has `metric` (its labels) and `value` (time, value as text).

        Raises:
            urllib.error.HTTPError: the expression is not valid.
        """
        return self._ask("query", query=expression)["result"]

    def rules(self) -> list[dict[str, Any]]:
        """The alerts, with their `health` and `lastError`."""
        return [rule for group in self._ask("rules")["groups"] for rule in group["rules"]]

    def _ask(self, what: str, **parameters: str) -> Any:
        url = f"http://{HOST}:{self._port}/api/v1/{what}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=30) as answer:
            return json.loads(answer.read())["data"]

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._folder / "output").read_text()
        with suppress(OSError):
            self._ask("query", query="vector(1)")
            return True
        return False
