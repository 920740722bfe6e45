"""`imgrelay metrics` beside the real daemon: what it counts, that its totals outlive it, and a push to a gateway."""

import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client.parser import text_string_to_metric_families

from imgrelay_dagster.demo.origin import Origin
from tests.support.command import until
from tests.support.dagster_servers import DagsterServers

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
