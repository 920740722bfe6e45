"""What `imgrelay metrics` shows before any run has ended."""

from pathlib import Path

import dagster as dg
import pytest
from dagster_aws.s3 import S3Resource
from prometheus_client import CollectorRegistry

from imgrelay_dagster.monitoring.metrics import RelayCollector
from imgrelay_dagster.resources import StoresResource


def test_totals_begin_at_zero_so_that_prometheus_sees_the_first_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "origins.yaml").write_text('"*.example.com": {per_host: 4}\n"*": {per_host: 8}\n')
    monkeypatch.setenv("IMGRELAY_ORIGIN_SETTINGS", str(tmp_path / "origins.yaml"))
    stores = StoresResource(s3=S3Resource(), staging_address=str(tmp_path / "staging"))
    registry = CollectorRegistry()
    with dg.DagsterInstance.ephemeral(str(tmp_path)) as instance:
        registry.register(RelayCollector(instance, stores))
        shown = {
            (sample.name, *sample.labels.values()): sample.value
            for family in registry.collect()
            for sample in family.samples
        }
    for outcome in ("uploaded", "unchanged", "failed", "not_asked", "not_attempted"):
        assert shown["imgrelay_images_total", outcome] == 0
    for host_class in ("web", "store", "folder", "*.example.com"):
        assert shown["imgrelay_failures_total", "timeout", host_class] == 0
    assert ("imgrelay_failures_total", "timeout", "*") not in shown
    assert shown["imgrelay_runs_total", "relay", "failure"] == 0
    assert shown["imgrelay_stage_seconds_total", "compose"] == 0
    assert shown["imgrelay_run_seconds_total",] == 0
