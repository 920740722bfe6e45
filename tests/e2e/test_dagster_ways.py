"""What Dagster's own tools and pages show of imgrelay: owners, kinds, warnings, the check for the newest day."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from imgrelay_dagster.demo.origin import Origin
from tests.conftest import ROOT
from tests.e2e.conftest import OWNER, own_days
from tests.support.command import until
from tests.support.dagster_servers import DagsterServers
from tests.support.ui import materialize, sensor_ticks, start_sensor, stop_sensor

_ASSETS = "{ assetNodes { assetKey { path } kinds owners { ... on TeamAssetOwner { team } } } }"
_MUTATIONS = "{ __schema { mutationType { fields { name } } } }"
_EVALUATIONS = """
query Evaluations($key: AssetKeyInput!) {
  assetCheckExecutions(assetKey: $key, checkName: "newest_day_is_relayed", limit: 10) {
    evaluation { success description }
  }
}
"""


def evaluations(served: DagsterServers) -> list[dict[str, Any]]:
    """The evaluations of the check, the latest first."""
    found = served.ask(_EVALUATIONS, key={"path": ["daily_manifests"]})["assetCheckExecutions"]
    return [each["evaluation"] for each in found]


def test_assets_show_their_owners_and_kinds(served: DagsterServers):
    shown = {node["assetKey"]["path"][0]: node for node in served.ask(_ASSETS)["assetNodes"]}
    for name, kinds in (("daily_manifests", ["file"]), ("relayed_images", ["file", "python"])):
        assert sorted(shown[name]["kinds"]) == kinds
        assert shown[name]["owners"] == [{"team": OWNER.removeprefix("team:")}]


def test_the_servers_advise_no_other_command(served: DagsterServers):
    assert "Launching Dagster services" in served.log.read_text()
    assert "SupersessionWarning" not in served.log.read_text()


def test_the_ui_cannot_edit_the_tags_of_a_run_that_is_under_way(served: DagsterServers):
    """So `imgrelay adjust` is the way, as docs/operating.md says; where Dagster adds one, both want another look."""
    names = {mutation["name"] for mutation in served.ask(_MUTATIONS)["__schema"]["mutationType"]["fields"]}
    assert "terminateRun" in names
    assert [name for name in names if "tag" in name.lower()] == []


def test_filling_an_old_day_does_not_hide_that_the_newest_is_missing(served: DagsterServers, origin: Origin):
    start_sensor(served, "day_freshness")
    (missing,) = until(lambda: evaluations(served), 120, "the check is evaluated")
    assert not missing["success"]
    newest = missing["description"].split()[1]
    assert missing["description"] == f"day {newest} was not relayed within 120 hours after IMGRELAY_DROP_AT"

    def relay(day: str) -> None:
        path = served.manifests / served.write_manifest(f"{day}.txt", [origin.url(f"jpeg/small-dawn.jpg?{day}")])
        written = time.time() - 60
        os.utime(path, (written, written))
        assert served.wait_for(materialize(served, day)) == "SUCCESS"

    (old,) = own_days(1)
    relay(old)
    seen = len(sensor_ticks(served, "day_freshness"))
    until(lambda: len(sensor_ticks(served, "day_freshness")) > seen + 1, 120, "the sensor ticks again")
    assert evaluations(served) == [missing]
    relay(newest)
    passed = until(lambda: evaluations(served)[:-1], 120, "the check is evaluated again")
    assert (len(passed), passed[0]["success"]) == (1, True)
    assert passed[0]["description"].startswith(f"day {newest} was relayed at ")
    stop_sensor(served, "day_freshness")


def test_dg_checks_and_lists_the_definitions(home: Path):
    def dg(*arguments: str) -> str:
        done = subprocess.run(
            [Path(sys.executable).parent / "dg", *arguments],
            cwd=ROOT,
            env={**os.environ, "DAGSTER_HOME": str(home), "VIRTUAL_ENV": sys.prefix},
            capture_output=True,
            text=True,
            timeout=240,
            check=True,
        )
        return done.stdout + done.stderr

    checked = dg("check", "defs")
    assert "All definitions loaded successfully" in checked
    assert "Warning" not in checked
    listed = dg("list", "defs", "--json")
    for name in ("relayed_images", "relay_day", "daily_drop", "housekeeping", "newest_day_is_relayed"):
        assert f'"{name}"' in listed
