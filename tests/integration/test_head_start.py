"""While a long manifest is planned, its first entries are relayed; every line is accounted for once."""

import json
import time
from pathlib import Path

import dagster as dg
import pytest

from imgrelay_dagster.config import environment
from imgrelay_dagster.definitions import relay_job
from imgrelay_dagster.demo.pictures import picture
from imgrelay_dagster.ops import head_start
from imgrelay_dagster.relay.fetch.address_guard import AddressGuard
from imgrelay_dagster.relay.planning.entry_planner import EntryPlanner
from imgrelay_dagster.resources import HttpResource
from tests.support.hostile_origin import HostileOrigin

pytestmark = pytest.mark.filterwarnings("ignore:InitResourceContext.dagster_run:DeprecationWarning")

ENTRIES = 400


def test_entries_are_stored_before_the_plan_is_complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    out, stored_while_planning = tmp_path / "out", set[Path]()
    plan = EntryPlanner.plan

    def slow_plan(planner: EntryPlanner, row):  # type: ignore[no-untyped-def]
        time.sleep(0.005)
        if row.line == ENTRIES and not stored_while_planning:
            stored_while_planning.update(out.rglob("*.jpg"))
        return plan(planner, row)

    monkeypatch.setenv(environment.ARGUMENT_PATHS.name, json.dumps([str(tmp_path)]))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(EntryPlanner, "plan", slow_plan)
    monkeypatch.setattr(HttpResource, "guard", lambda _: AddressGuard(["127.0.0.1"]))
    monkeypatch.setattr(head_start, "DELAY", 0.0)
    image = picture("jpeg/small-dawn.jpg")
    with (
        HostileOrigin({"/x.jpg": (image.data, image.media_type)}) as origin,
        dg.DagsterInstance.ephemeral() as instance,
    ):
        urls = [origin.url(f"/latency/0/{number}/x.jpg") for number in range(ENTRIES)]
        form = {"destination": str(out), "dataset": "birds", "urls": urls}
        result = relay_job().execute_in_process(run_config=form, instance=instance)
        assert result.success
        assert origin.hits.total() == ENTRIES
        again = relay_job().execute_in_process(run_config=form, instance=instance)
        assert again.success
        assert origin.hits.total() == ENTRIES
    assert 0 < len(stored_while_planning) < ENTRIES
    assert len(list(out.rglob("*.jpg"))) == ENTRIES
    runs = out / "_relay" / "birds" / "runs"
    summary = json.loads((runs / result.run_id / "summary.json").read_text())
    assert (summary["entries"], summary["uploaded"]) == (ENTRIES, ENTRIES)
    rows = [json.loads(line) for line in (runs / result.run_id / "results.jsonl").read_text().splitlines()]
    assert [row["line"] for row in rows] == list(range(1, ENTRIES + 1))
    assert json.loads((runs / again.run_id / "summary.json").read_text())["unchanged"] == ENTRIES
