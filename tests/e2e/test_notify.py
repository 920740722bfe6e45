"""Runs that really fail and that are really canceled are told of, in the log and to a real webhook."""

from pathlib import Path

from imgrelay_dagster.demo.origin import Origin
from tests.support.command import until
from tests.support.dagster_servers import DagsterServers
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
