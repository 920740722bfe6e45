"""Manifests that land in Google's and Azure's stores are relayed by sensors, under the real daemon."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from imgrelay_dagster.demo.origin import Origin
from imgrelay_dagster.relay.storage.objects import put_object
from tests.support.clouds import Cloud, start_cloud
from tests.support.command import until
from tests.support.dagster_servers import DagsterServers
from tests.support.ui import runs_tagged, start_sensor


def put(cloud: Cloud, key: str, origin: Origin, count: int) -> str:
    """Store a manifest; returns its address."""
    urls = [origin.url(f"jpeg/small-dawn.jpg?{key}-{number}") for number in range(count)]
    put_object(cloud.open(""), key, "\n".join(urls).encode(), "text/plain")
    return cloud.address(key)


def summary_of_run(served: DagsterServers, cloud: Cloud, manifest: str) -> dict[str, Any]:
    """Wait for the one run of a manifest; returns the summary that it stored."""
    (run_id,) = until(lambda: list(runs_tagged(served, imgrelay__manifest=manifest)), 120, f"{manifest} is run")
    assert served.wait_for(run_id) == "SUCCESS", served.why(run_id)
    store = cloud.open("out/_relay")
    (path,) = [meta["path"] for meta in store.list().collect() if meta["path"].endswith(f"{run_id}/summary.json")]
    return dict(json.loads(bytes(store.get(path).bytes())))


def check_landing(inbox: str, days: str, origin: Origin, folder: Path) -> None:
    """Let a manifest land in the inbox of one scheme and one of a late day in that of the other.

    The runs store images where the days are, and have their scratch space where the inbox is.
    """
    late_day = (datetime.now(UTC).date() - timedelta(days=2)).isoformat()
    with start_cloud(inbox, folder) as first, start_cloud(days, folder) as second:
        places = {
            "IMGRELAY_INBOX": first.address("inbox"),
            "IMGRELAY_STAGING": first.address("staging"),
            "IMGRELAY_MANIFESTS": second.address("days"),
            "IMGRELAY_DESTINATION": second.address("out"),
        }
        sensors = {"IMGRELAY_INBOX_INTERVAL": "5", "IMGRELAY_LATE_INTERVAL": "5", "IMGRELAY_FIRST_DAY": late_day}
        environment = {**first.environment, **second.environment, **places, **sensors}
        with DagsterServers(folder / "dagster", **environment) as served:
            day = put(second, f"days/{late_day}.txt", origin, 2)
            birds = put(first, "inbox/birds of prey.txt", origin, 3)
            for sensor in ("inbox", "late_manifests"):
                start_sensor(served, sensor)
            assert summary_of_run(served, second, birds)["uploaded"] == 3
            late = summary_of_run(served, second, day)
            assert (late["dataset"], late["uploaded"]) == (f"daily-{late_day}", 2)
        keys = [meta["path"] for meta in second.open("out").list().collect()]
        assert len([key for key in keys if not key.startswith("_relay/")]) == 5
        assert first.open("staging").list().collect() == []
