"""Many manifests at once in the inbox of a real instance, whose daemon is killed while it creates the runs."""

import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from imgrelay_dagster.automation.inbox import MAX_RUNS_PER_TICK
from tests.support.command import until
from tests.support.dagster_servers import DagsterServers
from tests.support.ui import sensor_ticks, start_sensor


@contextmanager
def idle_instance(folder: Path) -> Iterator[DagsterServers]:
    """Start an instance with an inbox whose queue starts no run."""
    inbox = folder / "inbox"
    inbox.mkdir()
    served = DagsterServers(folder, IMGRELAY_INBOX=str(inbox), IMGRELAY_INBOX_INTERVAL="2")
    settings = yaml.safe_load((served.home / "dagster.yaml").read_text())
    settings["concurrency"]["runs"]["max_concurrent_runs"] = 0
    (served.home / "dagster.yaml").write_text(yaml.safe_dump(settings))
    with served:
        yield served


def flood(served: DagsterServers, manifests: int) -> None:
    """Write `manifests` files within one second; check that each gets exactly one run, at most 100 per tick.

    The daemon is killed while it creates the runs of the second tick, and `dagster dev` ends with it.
    """
    inbox = Path(served.environment["IMGRELAY_INBOX"])
    start_sensor(served, "inbox")
    until(lambda: sensor_ticks(served, "inbox"), 60, "the first look")
    second = int(time.time())
    for n in range(manifests):
        (inbox / f"{n}.txt").write_text("http://127.0.0.1:1/a.jpg\n")
        os.utime(inbox / f"{n}.txt", (second, second))
    until(
        lambda: served.dagster.get_runs_count() > MAX_RUNS_PER_TICK + 5,
        240,
        "the runs of the second look are being made",
    )
    served.kill(served.server("dagster._daemon"))
    before = served.dagster.get_runs_count()
    served.stop()
    served.start()
    until(lambda: served.dagster.get_runs_count() >= manifests, 900, "every manifest has its run")

    def looks() -> list[str]:
        return [tick["skipReason"] or "" for tick in sensor_ticks(served, "inbox")]

    handled = f"nothing new in {inbox}; {manifests:,} manifests handled"
    until(lambda: looks()[0] == handled, 120, "a look finds nothing new")
    runs = served.dagster.get_runs()
    asked_for = Counter(run.tags["imgrelay/manifest"] for run in runs)
    assert asked_for == Counter(str(inbox / f"{n}.txt") for n in range(manifests))
    assert len({run.tags["dagster/run_key"] for run in runs}) == manifests > before
    assert {run.status.value for run in runs} == {"QUEUED"}
    asked = [len(tick["runIds"]) for tick in sensor_ticks(served, "inbox") if tick["runIds"]]
    assert max(asked) <= MAX_RUNS_PER_TICK
    assert len(asked) >= manifests // MAX_RUNS_PER_TICK - 1  # the tick of the killed daemon may not list its runs
