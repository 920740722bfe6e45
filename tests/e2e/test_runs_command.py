"""`imgrelay runs` beside the running servers: it shows what the UI's list of runs shows."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

from imgrelay_dagster.demo.origin import Origin
from tests.support.command import until
from tests.support.dagster_servers import DagsterServers
from tests.support.slow_origin import slow_origin

_RUNS = """
{ runsOrError(limit: 100) { ... on Runs { results {
    runId status jobName startTime endTime tags { key value } } } } }
"""


def of_the_ui(served: DagsterServers, own: set[str]) -> list[dict[str, Any]]:
    """What the webserver says of these runs, in its order, in the words of the command."""
    rows = []
    for run in served.ask(_RUNS)["runsOrError"]["results"]:
        tags = {tag["key"]: tag["value"] for tag in run["tags"]}
        start, end = run["startTime"], run["endTime"]
        rows.append(
            {
                "run_id": run["runId"],
                "status": run["status"].lower(),
                "job": run["jobName"],
                "dataset": tags.get("imgrelay/dataset"),
                "manifest": tags.get("imgrelay/manifest"),
                "results": tags.get("imgrelay/results"),
                "started": start and datetime.fromtimestamp(start, UTC).isoformat(timespec="seconds"),
                "seconds": round(end - start, 3) if start and end else None,
            }
        )
    return [row for row in rows if row["run_id"] in own]


def looks(served: DagsterServers, own: set[str], *options: str) -> tuple[list[str], list[list[dict[str, Any]]]]:
    """The lines that the command prints, and all that the UI shows meanwhile: runs that are under way go on."""
    command = [sys.executable, "-m", "imgrelay_dagster.cli", "runs", "--limit", "100", *options]
    shown = [of_the_ui(served, own)]
    with subprocess.Popen(command, env=served.environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        while process.poll() is None:
            shown.append(of_the_ui(served, own))
        lines = process.stdout.read().splitlines()
    assert process.returncode == 0
    return lines, [*shown, of_the_ui(served, own)]


def listed_as_json(lines: list[str], own: set[str]) -> list[dict[str, Any]]:
    return [row for row in map(json.loads, lines) if row["run_id"] in own]


def is_listed(rows: list[dict[str, Any]], table: list[str]) -> bool:
    """Whether the command's table shows these runs in the same words."""
    cells = {line.split("\t")[0]: line.split("\t")[1:] for line in table}
    return all(_is_listed(row, *cells[row["run_id"][:8]]) for row in rows)


def _is_listed(row: dict[str, Any], status: str, started: str, seconds: str, *names: str) -> bool:
    same = status == row["status"] and list(names) == [row[name] or "" for name in ("dataset", "results", "manifest")]
    if row["started"] is None:  # the queued run
        return same and (started, seconds) == ("", "")
    shown = f"{row['seconds']:.1f}" if row["seconds"] is not None else None
    return same and started != "" and (seconds == shown if shown else float(seconds) > 0)  # until now


def test_the_command_lists_runs_as_the_ui_does(served: DagsterServers, origin: Origin):
    """Runs of every status; the one under way has progress in its row, in the same words."""

    def launch(name: str, urls: list[str], **form: Any) -> str:
        return served.launch({"manifest": served.write_manifest(f"{name}.txt", urls), "dataset": name, **form})

    with slow_origin(1.0) as slow:
        slow_urls = [slow.url(f"jpeg/small-dawn.jpg?listed-{number}") for number in range(400)]
        slow_form = {"urls_per_task": 50, "download": {"threads": 1}}
        success = launch("listed-success", [origin.url("jpeg/small-dawn.jpg?listed")])
        failed = launch("listed-failed", [origin.url("missing.jpg")])
        assert (served.wait_for(success), served.wait_for(failed)) == ("SUCCESS", "FAILURE")
        canceled = launch("listed-canceled", slow_urls, **slow_form)
        served.wait_for_steps(canceled, "download")
        assert served.terminate_to_the_end(canceled) is not None
        running = [launch(f"listed-running-{number}", slow_urls, **slow_form) for number in range(2)]
        for run_id in running:
            served.wait_for_steps(run_id, "download")
        queued = launch("listed-queued", slow_urls, **slow_form)  # max_concurrent_runs is 2
        for run_id in running:
            until(lambda run_id=run_id: served.tags(run_id).get("imgrelay/results"), 120, "the run has progress")
        own = {success, failed, canceled, *running, queued}

        def both_as_json() -> list[dict[str, Any]] | None:
            lines, shown = looks(served, own, "--json")
            listed = listed_as_json(lines, own)
            return listed if listed in shown else None

        def both_as_table() -> bool:
            table, shown = looks(served, own)
            return any(is_listed(rows, table) for rows in shown)

        listed = until(both_as_json, 120, "the command prints what the UI shows at that time")
        until(both_as_table, 120, "the command's table shows what the UI shows at that time")
        for run_id in (queued, *running):
            assert served.terminate(run_id)
            assert served.wait_for(run_id) == "CANCELED"
    statuses = {row["run_id"]: row["status"] for row in listed}
    assert statuses == {
        queued: "queued",
        running[0]: "started",
        running[1]: "started",
        canceled: "canceled",
        failed: "failure",
        success: "success",
    }
    assert list(statuses) == [queued, *reversed(running), canceled, failed, success]  # the newest first
    facts = {row["run_id"]: row for row in listed}
    assert "of 400" in facts[running[0]]["results"]
    assert (facts[success]["results"], facts[failed]["results"]) == ("1 of 1", "0 of 1, 1 failed")
