"""Compares originals in a store with the same objects over HTTP, from the same server (SeaweedFS) on this machine.

python -m benchmarks.originals [--entries N] [--rounds N] [--download]

Over HTTP the objects are asked for by presigned URLs. Both ways alternate, and the medians are shown. With
`--download` only the download stage is measured, in one process; otherwise whole runs of the command.
"""

import argparse
import json
import os
import resource
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

from benchmarks import corpus, meter
from imgrelay_dagster.demo.seaweed import SeaweedFS
from imgrelay_dagster.relay.fetch.address_guard import AddressGuard
from imgrelay_dagster.relay.fetch.downloader import Downloader
from imgrelay_dagster.relay.fetch.limits import Limits
from imgrelay_dagster.relay.stages.stored_sources import StoredSources
from imgrelay_dagster.relay.storage.source_access import is_stored
from imgrelay_dagster.resources import StoresResource, build_resources

ROOT = Path(__file__).parent.parent
STORE, HTTP = "s3://", "http://"
_BUCKET = "originals"
_THREADS = 16


def main() -> None:
    """Print a table with one row for each way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--download", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, SeaweedFS(Path(folder) / "seaweed", volume_limit=4096) as server:
        os.environ.update(server.environment())
        lists = _upload(server, Path(folder), arguments.entries)
        found: dict[str, list[tuple[float, float]]] = {way: [] for way in lists}
        for number in range(arguments.rounds):
            for way, manifest in lists.items() if number % 2 else reversed(lists.items()):
                measure = _download if arguments.download else _run
                found[way].append(measure(manifest, Path(folder) / f"{number}-{way[:2]}"))
    print("| originals | images per second | CPU ms an image |\n|---|---|---|")
    for way, pairs in found.items():
        wall, cpu = (statistics.median(values) for values in zip(*pairs, strict=True))
        print(f"| {way} | {arguments.entries / wall:.0f} | {1000 * cpu / arguments.entries:.2f} |")


def _upload(server: SeaweedFS, folder: Path, entries: int) -> dict[str, Path]:
    """Store small pictures; return a manifest for each way."""
    names = corpus.make(folder / "corpus")[corpus.SMALL]
    pictures = [(folder / "corpus" / name).read_bytes() for name in names]
    server.create_bucket(_BUCKET)
    client = server.client()
    keys = [f"in/{number}.jpg" for number in range(entries)]

    def put(number: int) -> None:
        client.put_object(Bucket=_BUCKET, Key=keys[number], Body=pictures[number % len(pictures)])

    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(put, range(entries)))
    signed = [
        client.generate_presigned_url("get_object", Params={"Bucket": _BUCKET, "Key": key}, ExpiresIn=86_400)
        for key in keys
    ]
    return {
        STORE: corpus.write_manifest(folder / "stored.txt", (f"s3://{_BUCKET}/{key}" for key in keys)),
        HTTP: corpus.write_manifest(folder / "http.txt", iter(signed)),
    }


def _run(manifest: Path, folder: Path) -> tuple[float, float]:
    """Seconds and CPU seconds of a whole run."""
    (folder / "home").mkdir(parents=True)
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "DAGSTER_HOME": str(folder / "home"),
        "IMGRELAY_ALLOWED_HOSTS": "127.0.0.1",
        "IMGRELAY_STAGING": str(folder / "staging"),
    }
    command: list[str | Path] = [sys.executable, "-m", "imgrelay_dagster.cli", "run", "--json"]
    command += ["--manifest", manifest, "--destination", folder / "out"]
    usage = meter.run(command, environment=environment, folder=folder)
    summary = json.loads(usage.out.splitlines()[-1]) if usage.out else {}
    if usage.code or summary["uploaded"] != summary["entries"]:
        raise RuntimeError(f"the run failed (code {usage.code}): {usage.err[-2000:] or summary}")
    return summary["seconds"], usage.cpu


def _download(manifest: Path, _: Path) -> tuple[float, float]:
    """Seconds and CPU seconds of downloading everything into memory, with as many threads as a download step has."""
    stop, limits = threading.Event(), Limits()
    stores = build_resources()["stores"]
    assert isinstance(stores, StoresResource)
    sources = StoredSources(stores.open, limits, ("*",), stop)

    @contextmanager
    def sink() -> Iterator[BytesIO]:
        yield BytesIO()

    began = resource.getrusage(resource.RUSAGE_SELF)
    started = time.monotonic()
    guard = AddressGuard(["127.0.0.1"])
    with Downloader(limits, guard, stop=stop) as downloader, ThreadPoolExecutor(limits.threads) as pool:

        def fetch(url: str) -> None:
            (sources if is_stored(url) else downloader).fetch(url, sink)

        list(pool.map(fetch, manifest.read_text().splitlines()))
    ended = resource.getrusage(resource.RUSAGE_SELF)
    cpu = ended.ru_utime + ended.ru_stime - began.ru_utime - began.ru_stime
    return time.monotonic() - started, cpu


if __name__ == "__main__":
    main()
