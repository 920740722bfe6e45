"""How hosts with a limit are treated, measured at the host: how often it was asked, and what its neighbours lost.

    python -m benchmarks.host_pace            all measurements on this machine; some minutes
    python -m benchmarks.host_pace --celery   the limit of `max_requests_per_second` over two Celery workers

Each line of the output is one figure. The hosts are HTTP servers of this process, so its own load is part of the times.
"""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

from imgrelay_dagster.demo.ports import HOST

LIMIT = 10.0
"""Requests per second that the host with a limit allows."""

LIMITED = 200
GOOD = 10_000
ASKED, RATE = 1_000, 50
"""Entries, and requests per second, of the measurement of `max_requests_per_second`."""


@dataclass
class Host:
    """An HTTP server that serves one picture and notes the time of each request.

    Attributes:
        limit: requests per second that it allows; it answers 429 to the others. None for any number.
        asked: when each request came, in seconds.
        refused: how many requests were refused.
    """

    limit: float | None = None
    retry_after: str | None = None
    asked: list[float] = field(default_factory=list)
    refused: int = 0
    url: str = ""

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._tokens, self._at = LIMIT, time.monotonic()

    def allows(self) -> bool:
        """Note a request, and tell whether it is allowed."""
        with self._lock:
            now = time.monotonic()
            self.asked.append(now)
            if self.limit is None:
                return True
            self._tokens = min(self.limit, self._tokens + (now - self._at) * self.limit)
            self._at = now
            if self._tokens < 1:
                self.refused += 1
                return False
            self._tokens -= 1
            return True

    def rate(self) -> float:
        """Requests per second, between the first tenth and the last."""
        times = sorted(self.asked)
        tenth = len(times) // 10
        return (len(times) - 2 * tenth - 1) / (times[-tenth - 1] - times[tenth])


@contextmanager
def serve(limit: float | None = None, retry_after: str | None = None) -> Iterator[Host]:
    """Serve a picture of 320x240 pixels on a free port of the loopback address."""
    host, body = Host(limit, retry_after), BytesIO()
    Image.radial_gradient("L").resize((320, 240)).convert("RGB").save(body, "JPEG")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            allowed = host.allows()
            data = body.getvalue() if allowed else b""
            self.send_response(200 if allowed else 429)
            if not allowed and retry_after is not None:
                self.send_header("Retry-After", retry_after)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 1024

    with Server((HOST, 0), Handler) as server:
        host.url = f"http://{HOST}:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield host
        finally:
            server.shutdown()


@dataclass(frozen=True)
class Ran:
    """What a run stored, of how many entries."""

    uploaded: int
    entries: int


def relay(folder: Path, urls: list[str], **config: object) -> Ran:
    """Relay these URLs by the command, with the given run config."""
    folder.mkdir()
    (folder / "images.txt").write_text("\n".join(urls))
    (folder / "config.json").write_text(json.dumps({"tolerated_failure_percentage": 100, **config}))
    command = [sys.executable, "-m", "imgrelay_dagster.cli", "run", "--manifest", "images.txt", "--json"]
    ran = subprocess.run(
        [*command, "--destination", "out", "--config", "config.json"],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "DAGSTER_HOME": str(folder / "home"), "IMGRELAY_ALLOWED_HOSTS": HOST},
        stdout=subprocess.PIPE,
        timeout=900,
        check=True,
    )
    summary = json.loads(ran.stdout)
    return Ran(summary["uploaded"], summary["entries"])


def numbered(host: Host, count: int) -> list[str]:
    """URLs of a host."""
    return [f"{host.url}/{number}.jpg" for number in range(count)]


def measure_limited(folder: Path) -> None:
    """A host that allows ten requests a second."""
    for retry_after in (None, "2"):
        with serve(LIMIT, retry_after) as host:
            ran = relay(folder / f"limited-{retry_after}", numbered(host, LIMITED))
        seconds = max(host.asked) - min(host.asked)
        print(
            f"host with {LIMIT:g} requests/s, Retry-After {retry_after}: {ran.uploaded} of {ran.entries} stored; "
            f"{seconds:.1f} s, {seconds / (LIMITED / LIMIT):.2f} of what it allows; {host.refused} refused"
        )


def measure_neighbours(folder: Path) -> None:
    """Many good URLs alone, and beside a host with a limit; alternating, three times."""
    ratios = []
    for number in range(3):
        rates = {}
        for limited in (False, True):
            with serve() as good, serve(LIMIT) as slow:
                urls = numbered(good, GOOD)
                if limited:
                    for place, url in enumerate(numbered(slow, LIMITED)):
                        urls.insert(place * (GOOD // LIMITED + 1), url)
                ran = relay(folder / f"neighbours-{number}-{limited}", urls)
                rates[limited] = len(good.asked) / (max(good.asked) - min(good.asked))
                print(f"{ran.uploaded} of {ran.entries} stored; the good host was asked {rates[limited]:.0f} times/s")
        ratios.append(rates[True] / rates[False])
    print(f"rate of the good host beside one with a limit: {sorted(ratios)[1]:.3f} of its rate alone (median of three)")


def measure_rate(folder: Path) -> None:
    """`max_requests_per_second` over two concurrent download steps."""
    with serve() as host:
        config = {"download": {"max_requests_per_second": RATE}, "max_concurrent": 4, "urls_per_task": ASKED // 4}
        ran = relay(folder / "rate", numbered(host, ASKED), **config)
    print(f"max_requests_per_second {RATE}, two steps: {host.rate():.1f} requests/s; {ran.uploaded} stored")


def measure_rate_on_celery(folder: Path) -> None:
    """`max_requests_per_second` over two Celery workers."""
    from tests.support.celery_cluster import Cluster, missing  # noqa: PLC0415 - needs Redis

    if reason := missing():
        raise SystemExit(f"cannot measure here: {reason}")
    with serve() as host, Cluster(folder / "cluster" / "here") as cluster:
        for name in ("first", "second"):
            cluster.worker(name, 1)
        manifest = cluster.put("manifests/images.txt", numbered(host, ASKED))
        config = {"manifest": manifest, "urls_per_task": ASKED // 4, "max_concurrent": 4}
        with cluster.launch({**config, "download": {"max_requests_per_second": RATE}}) as run:
            ran = run.wait(600)
        stored = ran.summary["uploaded"] if ran.code == 0 else ran.err
    print(f"max_requests_per_second {RATE}, two Celery workers: {host.rate():.1f} requests/s; {stored} stored")


def main() -> None:
    """Measure and print."""
    with TemporaryDirectory(prefix="imgrelay-pace-") as scratch:
        folder = Path(scratch)
        if "--celery" in sys.argv:
            measure_rate_on_celery(folder)
            return
        measure_limited(folder)
        measure_rate(folder)
        measure_neighbours(folder)


if __name__ == "__main__":
    main()
