"""The dashboard and the alerts ask only for metrics that `imgrelay metrics` shows."""

import json
import re

import dagster as dg
import pytest
import yaml
from dagster_aws.s3 import S3Resource
from prometheus_client import CollectorRegistry, generate_latest

from imgrelay_dagster.monitoring.metrics import RelayCollector
from imgrelay_dagster.resources import StoresResource
from tests.conftest import ROOT

FOLDER = ROOT / "deploy" / "metrics"


@pytest.fixture
def shown(tmp_path, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The names of all metrics, of an instance without runs."""
    monkeypatch.setenv("IMGRELAY_INBOX", str(tmp_path))
    stores = StoresResource(s3=S3Resource(), staging_address=str(tmp_path / "staging"))
    with dg.DagsterInstance.ephemeral(str(tmp_path)) as instance:
        registry = CollectorRegistry()
        registry.register(RelayCollector(instance, stores))
        text = generate_latest(registry).decode()
    assert re.findall(r'imgrelay_part_up\{part="(\w+)"\} 1\.0', text) == ["totals", "queue", "inbox", "newest_day"]
    return set(re.findall(r"^# TYPE (\w+)", text, re.MULTILINE))


def test_dashboard_and_alerts_use_existing_metrics(shown: set[str]):
    dashboard = json.loads((FOLDER / "grafana-dashboard.json").read_text())
    alerts = yaml.safe_load((FOLDER / "alerts.yaml").read_text())
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    asked += [rule["expr"] for group in alerts["groups"] for rule in group["rules"]]
    assert set(re.findall(r"imgrelay_\w+", " ".join(asked))) == shown
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
