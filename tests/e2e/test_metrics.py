"""`imgrelay metrics` beside the real daemon: what it counts, that its totals outlive it, and who gets them."""

import json
import shutil
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from imgrelay_dagster.demo.origin import Origin
from tests.conftest import ROOT
from tests.support import prometheus
from tests.support.command import until
from tests.support.dagster_servers import DagsterServers
from tests.support.prometheus import Prometheus

LABELS = {
    "status": {"queued", "started", "success"},
    "outcome": {"uploaded", "unchanged", "failed", "not_asked", "not_attempted"},
    "reason": {"http_status"},
    "host_class": {"web"},
    "direction": {"in", "out"},
    "stage": {"download", "compose", "upload"},
    "part": {"totals", "queue", "inbox", "newest_day"},
    "state": {"left", "failed"},
}
"""Values of labels that the panels of the dashboard show."""

Samples = dict[tuple[str, tuple[str, ...]], float]


@contextmanager
def metrics(served: DagsterServers, *arguments: str) -> Iterator[str]:
    """Run the command; yields the first line that it prints."""
    command = [sys.executable, "-m", "imgrelay_dagster.cli", "metrics", *arguments]
    process = subprocess.Popen(command, env=served.environment, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        yield process.stderr.readline() if "--port" in arguments else ""
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
        process.stderr.close()


def scrape(line: str) -> Samples:
    """The samples of an exporter, by name and sorted values of labels."""
    with urllib.request.urlopen(line.rpartition(" ")[2].strip(), timeout=60) as answer:
        return parse(answer.read().decode())


def parse(text: str) -> Samples:
    return {
        (sample.name, tuple(sorted(sample.labels.values()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_the_metrics_count_each_ended_run_once(served: DagsterServers, origin: Origin):
    with metrics(served, "--port", "0") as line:
        before = scrape(line)
        good = [origin.url(f"jpeg/small-dawn.jpg?metrics-{n}") for n in range(7)]
        bad = [origin.url(f"bad/not-found.jpg?metrics-{n}") for n in range(3)]
        form = {"manifest": served.write_manifest("metrics.txt", good + bad), "tolerated_failure_percentage": 100}
        run_id = served.launch(form)
        assert served.wait_for(run_id) == "SUCCESS"
        after = scrape(line)

    def grown(samples: Samples, name: str, *labels: str) -> float:
        return samples[f"imgrelay_{name}_total", labels] - before.get((f"imgrelay_{name}_total", labels), 0.0)

    assert grown(after, "images", "uploaded") == 7
    assert grown(after, "images", "failed") == 3
    assert grown(after, "failures", "http_status", "web") == 3
    assert grown(after, "runs", "relay", "success") == 1
    assert grown(after, "bytes", "in") == served.summary(run_id)["bytes_in"] > 0
    assert 0 < grown(after, "stage_seconds", "compose") < grown(after, "run_seconds")
    assert after["imgrelay_inbox_lag_seconds", ()] >= 0
    assert after["imgrelay_runs_open", ("queued",)] >= 0
    for part in ("totals", "queue", "inbox", "newest_day"):
        assert after["imgrelay_part_up", (part,)] == 1, part
    with metrics(served, "--port", "0") as line:
        again = scrape(line)
    assert grown(again, "images", "uploaded") == 7
    assert grown(again, "runs", "relay", "success") == 1


def test_the_metrics_are_pushed_to_a_gateway(served: DagsterServers):
    pushed: list[tuple[str, str]] = []

    class Gateway(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            pushed.append((self.path, self.rfile.read(int(self.headers["Content-Length"])).decode()))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Write no log."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Gateway) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with metrics(served, "--push", f"http://127.0.0.1:{server.server_port}", "--interval", "0.2"):
            until(lambda: len(pushed) > 1, 60, "two pushes arrive")
        server.shutdown()
    path, body = pushed[-1]
    assert path == "/metrics/job/imgrelay"
    assert parse(body)["imgrelay_part_up", ("queue",)] == 1


@pytest.fixture
def scraping(served: DagsterServers, tmp_path: Path) -> Iterator[Prometheus]:
    """A Prometheus with the files of deploy/metrics/, more often than they say, and an exporter that it scrapes."""
    shutil.copytree(ROOT / "deploy" / "metrics", tmp_path, dirs_exist_ok=True)
    config = yaml.safe_load((tmp_path / "prometheus.yaml").read_text())
    config["scrape_configs"][0]["scrape_interval"] = "5s"
    config["global"] = {"evaluation_interval": "5s"}
    with metrics(served, "--port", "0") as line:
        address = line.rpartition("http://")[2].partition("/")[0]
        config["scrape_configs"][0]["static_configs"][0]["targets"] = [address]
        (tmp_path / "prometheus.yaml").write_text(yaml.safe_dump(config))
        with Prometheus(tmp_path, tmp_path / "prometheus.yaml") as server:
            yield server


@pytest.mark.skipif(not prometheus.installed(), reason=prometheus.MISSING)
def test_prometheus_has_data_for_each_panel_of_the_dashboard_and_accepts_the_alerts(
    served: DagsterServers, origin: Origin, scraping: Prometheus
):
    for arguments in (["check", "rules", "alerts.yaml"], ["check", "config", "prometheus.yaml"]):
        subprocess.run(["promtool", *arguments], cwd=ROOT / "deploy" / "metrics", check=True, timeout=60)
    until(lambda: scraping.query("imgrelay_images_total"), 60, "Prometheus has scraped once")
    urls = [origin.url("jpeg/small-dawn.jpg?prometheus"), origin.url("bad/not-found.jpg?prometheus")]
    form = {"manifest": served.write_manifest("prometheus.txt", urls), "tolerated_failure_percentage": 100}
    assert served.wait_for(served.launch(form)) == "SUCCESS"
    assert until(
        lambda: scraping.query('increase(imgrelay_images_total{outcome="failed"}[1h]) > 0'), 60, "it is counted"
    )

    dashboard = json.loads((ROOT / "deploy" / "metrics" / "grafana-dashboard.json").read_text())
    series = {
        target["expr"]: scraping.query(target["expr"]) for panel in dashboard["panels"] for target in panel["targets"]
    }
    assert [expression for expression, found in series.items() if not found] == []
    labels = {name: {found["metric"].get(name) for each in series.values() for found in each} for name in LABELS}
    assert {name: LABELS[name] - labels[name] for name in LABELS} == {name: set() for name in LABELS}
    rules = until(
        lambda: [rule for rule in scraping.rules() if rule["health"] != "unknown"], 60, "alerts are evaluated"
    )
    assert {rule["health"] for rule in rules} == {"ok"}, rules
    firing = {rule["name"] for rule in rules if rule["state"] == "firing"}
    assert "ImgrelayMetricsIncomplete" not in firing
