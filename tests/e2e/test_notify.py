"""Runs that really fail, are canceled or succeed are told of, in the log and to a real webhook."""

from pathlib import Path

from imgrelay_dagster.demo.origin import Origin
from tests.support.command import until
from tests.support.dagster_servers import DagsterServers
from tests.support.ui import sensor_ticks, start_sensor, stop_sensor
from tests.support.webhook import SECRET, Webhook


def test_a_failed_and_a_canceled_run_are_told_of(served: DagsterServers, origin: Origin, webhook: Webhook):
    lost = str(served.manifests / "no-such.txt")
    failed = served.launch({"manifest": lost})
    many = [origin.url(f"jpeg/small-dawn.jpg?canceled-{n}") for n in range(600)]
    canceled = served.launch({"manifest": served.write_manifest("to-be-canceled.txt", many), "urls_per_task": 50})
    served.wait_for(failed)
    served.wait_for_steps(canceled, "download")
    assert served.terminate_to_the_end(canceled) is not None

    def told() -> dict[str, dict[str, object]] | None:
        posts = {post["run_id"]: post for post in webhook.posts}
        return posts if {failed, canceled} <= set(posts) else None

    posts = until(told, 120, "both runs are told of")
    assert posts[failed]["reason"] == f"manifest '{lost}' does not exist; check the path or the bucket"
    assert (posts[failed]["status"], posts[failed]["started_again"]) == ("FAILURE", False)
    assert (posts[canceled]["status"], posts[canceled]["reason"]) == ("CANCELED", "it was canceled")
    assert posts[canceled]["dataset"] == "to-be-canceled"
    log = Path(served.environment["IMGRELAY_FAILURES_LOG"]).read_text()
    for run_id in (failed, canceled):
        assert [line for line in log.splitlines() if run_id in line] == [posts[run_id]["text"]]
    assert SECRET not in log + served.log.read_text()


def test_a_success_is_told_of_once_sensor_succeeded_runs_is_on(
    served: DagsterServers, origin: Origin, webhook: Webhook
):
    def relay(name: str) -> str:
        urls = [origin.url(f"jpeg/small-dawn.jpg?{name}"), origin.url("missing.jpg")]
        form = {"manifest": served.write_manifest(f"{name}.txt", urls), "tolerated_failure_percentage": 50}
        run_id = served.launch(form)
        assert served.wait_for(run_id) == "SUCCESS"
        return run_id

    before = relay("before-it-was-on")
    start_sensor(served, "succeeded_runs")
    try:
        # A sensor of Dagster tells of runs that end after its first tick.
        until(lambda: "SKIPPED" in [tick["status"] for tick in sensor_ticks(served, "succeeded_runs")], 120, "a tick")
        run_id = relay("told-of-success")
        post = until(lambda: [post for post in webhook.posts if post["run_id"] == run_id], 120, "the run is told of")[0]
    finally:
        stop_sensor(served, "succeeded_runs")
    told = {name: post[name] for name in ("status", "job", "dataset", "started_again")}
    assert told == {"status": "SUCCESS", "job": "relay", "dataset": "told-of-success", "started_again": False}
    assert post["reason"] == "1 of 2, 1 failed"
    assert post["text"].endswith(f"SUCCESS run {run_id} (relay, dataset told-of-success): {post['reason']}")
    assert not [post for post in webhook.posts if post["run_id"] == before]
    log = Path(served.environment["IMGRELAY_FAILURES_LOG"])
    assert not log.exists() or run_id not in log.read_text()
