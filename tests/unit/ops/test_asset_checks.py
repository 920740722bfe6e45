"""The asset checks, from a summary and an inspection."""

from pathlib import Path

import dagster as dg
from obstore.store import LocalStore

from imgrelay_dagster.ops.asset_checks import check_results, try_inspect
from imgrelay_dagster.relay.results.inspection import Inspection
from tests.support.results import summary


def test_the_checks_describe_failures_and_mismatches():
    failing = summary(failed=3, uploaded=2, reasons={"timeout": 2, "http_status": 1})
    entries, holds = check_results(failing, Inspection(checked=9, mismatches=["a.jpg: gone"]))
    assert (entries.passed, entries.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert entries.description == "3 of 5 entries failed: 2 timeout, 1 http_status"
    assert (holds.passed, holds.description) == (False, "a.jpg: gone")
    entries, holds = check_results(summary(), Inspection(checked=5))
    assert (entries.passed, holds.passed) == (True, True)
    _, holds = check_results(summary(), None)
    assert (holds.passed, holds.severity) == (False, dg.AssetCheckSeverity.WARN)


def test_unreadable_results_do_not_fail_the_run(tmp_path: Path):
    results = tmp_path / "_relay" / "birds" / "runs" / "run1" / "results.jsonl"
    results.parent.mkdir(parents=True)
    results.write_text('no "outcome":"uploaded"\n')
    assert try_inspect(LocalStore(tmp_path), summary()) is None
