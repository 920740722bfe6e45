"""A rewritten manifest keeps the settings of its dataset, whoever launches it."""

import os
import time
from pathlib import Path

import pytest

from imgrelay_dagster.demo.origin import Origin
from tests.e2e.conftest import own_days
from tests.support.command import until
from tests.support.dagster_servers import DagsterServers
from tests.support.list_files import write_list
from tests.support.ui import backfill, materialize, runs_tagged, start_sensor, stop_sensor, wait_for_backfill

pytestmark = pytest.mark.timeout(900)


COLUMNS = {"url": "Picture"}


def drop(path: Path, origin: Origin, name: str, count: int) -> None:
    write_list(path, [origin.url(f"jpeg/small-dawn.jpg?{name}-{number}") for number in range(count)])
    os.utime(path, (time.time() - 60,) * 2)


def test_a_rewritten_day_is_relayed_with_the_settings_of_its_first_run(served: DagsterServers, origin: Origin):
    (day,) = own_days(1)
    path = served.manifests / f"{day}.parquet"
    drop(path, origin, day, 3)
    settings = {
        "template": "badge.png",
        "layout": {"mode": "watermark"},
        "output": {"format": "png"},
        "columns": COLUMNS,
        "carry": ["sku"],
    }
    first = materialize(served, day, settings)
    assert served.wait_for(first) == "SUCCESS", served.why(first)
    drop(path, origin, day, 4)
    wait_for_backfill(served, backfill(served, [day]))
    again, *_ = runs_tagged(served, dagster__partition=day)
    assert again != first
    assert served.wait_for(again) == "SUCCESS", served.why(again)
    assert (served.summary(again)["unchanged"], served.summary(again)["uploaded"]) == (3, 1)
    results = served.results(again)
    assert {result["key"].rpartition(".")[2] for result in results} == {"png"}
    assert [result["carried"] for result in results] == [{"sku": f"S{number}"} for number in range(1, 5)]


def test_sidecars_in_the_inbox_decide_the_settings_of_lists_of_any_format(served: DagsterServers, origin: Origin):
    inbox = served.home.parent / "inbox"
    names = [f"beside-{suffix}.{suffix}" for suffix in ("xlsx", "json", "tsv")]
    start_sensor(served, "inbox")
    try:
        for name in names:
            sidecar = "{output: {format: webp}, columns: {url: Picture}, carry: all}\n"
            (inbox / name).with_suffix(".yaml").write_text(sidecar)
            drop(inbox / name, origin, name, 2)
        for name in names:
            dataset = Path(name).stem
            (run_id,) = until(
                lambda dataset=dataset: list(runs_tagged(served, imgrelay__dataset=dataset)), 120, f"{name} has a run"
            )
            assert served.wait_for(run_id) == "SUCCESS", served.why(run_id)
            results = served.results(run_id)
            assert {result["key"].rpartition(".")[2] for result in results} == {"webp"}
            assert [result["carried"] for result in results] == [{"Sku": "S1"}, {"Sku": "S2"}]
    finally:
        stop_sensor(served, "inbox")
