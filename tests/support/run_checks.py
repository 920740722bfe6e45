"""Checks that the summary, results, receipts, objects, scratch files and lock of a run agree."""

import hashlib
from collections import Counter
from typing import Any

from imgrelay_dagster.relay.outcomes import Outcome
from imgrelay_dagster.runs.tags import RESULTS_TAG
from tests.support.command import until
from tests.support.dagster_servers import DagsterServers

PARTS = ("uploaded", "unchanged", "failed", "not_attempted")

IN_FLIGHT = 2 * 2 * 16
"""Objects that an ended run may leave without a receipt: two upload steps with 16 threads, each of which may have
stored one and be storing another. The next run stores them again."""


def check_results(served: DagsterServers, run_id: str, entries: int) -> dict[str, Any]:
    """Every line of the manifest has one outcome in the results, and the summary counts them."""
    summary, rows = served.summary(run_id), served.results(run_id)
    assert summary["entries"] == entries
    assert sum(summary[part] for part in PARTS) == entries
    assert [row["line"] for row in rows] == list(range(1, entries + 1))
    counted = Counter(row["outcome"] for row in rows)
    assert {part: counted[part] for part in PARTS} == {part: summary[part] for part in PARTS}
    assert served.staged(run_id) == []
    return summary


def check_ended_early(served: DagsterServers, run_id: str, entries: int, status: str = "canceled") -> dict[str, Any]:
    """The same for a run that ended early; its page must say how far it got."""
    summary = check_results(served, run_id, entries)
    assert summary["status"] == status
    done = summary["uploaded"] + summary["unchanged"]
    assert served.tags(run_id)[RESULTS_TAG] == f"{done} of {entries}"
    said = until(lambda: early_end(served, run_id), 20, "the run's page says how far it got")
    assert len(said) == 1
    assert f"{summary['uploaded']} uploaded, {summary['unchanged']} unchanged" in said[0]
    assert not list(served.out.glob(f"_relay/*/receipts/{run_id}/ledger*"))
    return summary


def early_end(served: DagsterServers, run_id: str) -> list[str]:
    """Return the messages on the run's page about its early end."""
    return [message for message in served.messages(run_id) if message.startswith("The run ended early")]


def check_receipts(served: DagsterServers) -> int:
    """Check that every receipt matches its stored object; return the number of objects without a receipt."""
    uploaded = {
        record.key: record
        for record in sorted(served.receipts("*"), key=lambda record: record.at or 0)
        if record.outcome is Outcome.UPLOADED and record.key
    }
    images = served.images()
    for key, record in uploaded.items():
        data = images[key].read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (record.bytes_out, record.sha256), key
    return len(images.keys() - uploaded.keys())


def done_urls(served: DagsterServers, dataset: str) -> set[str]:
    """The URLs that receipts say are relayed."""
    return {record.url for record in served.receipts(dataset) if record.outcome is Outcome.UPLOADED}


def lock_is_free(served: DagsterServers, dataset: str) -> bool:
    return not (served.out / "_relay" / dataset / "receipts" / "lock.json").exists()
