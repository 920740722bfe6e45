"""A rewritten manifest keeps the settings of its dataset, whoever launches it."""

import os
import time
from pathlib import Path

import pytest

from imgrelay_dagster.demo.origin import Origin
from tests.e2e.conftest import own_days
from tests.support.command import until
from tests.support.dagster_servers import DagsterServers
from tests.support.ui import backfill, materialize, runs_tagged, start_sensor, stop_sensor, wait_for_backfill

pytestmark = pytest.mark.timeout(900)


def drop(path: Path, origin: Origin, name: str, count: int) -> None:
    path.write_text("".join(f"{origin.url(f'jpeg/small-dawn.jpg?{name}-{number}')}\n" for number in range(count)))
    os.utime(path, (time.time() - 60,) * 2)


def test_a_rewritten_day_is_relayed_with_the_settings_of_its_first_run(served: DagsterServers, origin: Origin):
    (day,) = own_days(1)
    path = served.manifests / f"{day}.txt"
    drop(path, origin, day, 3)
    settings = {"template": "badge.png", "layout": {"mode": "watermark"}, "output": {"format": "png"}}
    first = materialize(served, day, settings)
    assert served.wait_for(first) == "SUCCESS", served.why(first)
    drop(path, origin, day, 4)
    wait_for_backfill(served, backfill(served, [day]))
    again, *_ = runs_tagged(served, dagster__partition=day)
    assert again != first
    assert served.wait_for(again) == "SUCCESS", served.why(again)
    assert (served.summary(again)["unchanged"], served.summary(again)["uploaded"]) == (3, 1)
    assert {result["key"].rpartition(".")[2] for result in served.results(again)} == {"png"}


def test_a_sidecar_in_the_inbox_decides_the_settings(served: DagsterServers, origin: Origin):
    inbox = served.home.parent / "inbox"
    (inbox / "beside.yaml").write_text("output: {format: webp}\n")
    start_sensor(served, "inbox")
    try:
        drop(inbox / "beside.txt", origin, "beside", 2)
        (run_id,) = until(
            lambda: list(runs_tagged(served, imgrelay__dataset="beside")), 120, "the inbox asks for a run"
        )
        assert served.wait_for(run_id) == "SUCCESS", served.why(run_id)
    finally:
        stop_sensor(served, "inbox")
    assert {result["key"].rpartition(".")[2] for result in served.results(run_id)} == {"webp"}
