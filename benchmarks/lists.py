"""Measures the planning of lists by format and size: rows per CPU second and the peak of memory.

python -m benchmarks.lists [--rows N ...] [--formats csv jsonl parquet] [--read] [--repeat N]

`--read` only reads the rows and does not plan them. Each measurement has a process of its own. With `--repeat` the
formats alternate, and the medians are shown.
"""

import argparse
import json
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from imgrelay_dagster.relay.imaging.template_folder import TemplateFolder
from imgrelay_dagster.relay.manifest.sources import open_manifest
from imgrelay_dagster.relay.planning.planner import plan_run
from imgrelay_dagster.relay.settings import Settings
from imgrelay_dagster.relay.storage.stores import open_store

BATCH = 10_000


def main() -> None:
    """Print a table with one row per format and number of rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--formats", nargs="+", default=["csv", "jsonl", "parquet"])
    parser.add_argument("--read", action="store_true")
    parser.add_argument("--repeat", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print("| format | rows | rows per CPU second | peak of memory, MiB |\n|---|---|---|---|")
        for count in arguments.rows:
            files = [write(Path(folder), kind, count) for kind in arguments.formats]
            found: dict[str, list[tuple[float, float]]] = {kind: [] for kind in arguments.formats}
            for _ in range(arguments.repeat):
                for kind, file in zip(arguments.formats, files, strict=True):
                    with multiprocessing.get_context("spawn").Pool(1) as pool:
                        found[kind].append(pool.apply(measure, (file, arguments.read)))
            for kind, pairs in found.items():
                rate, peak = (statistics.median(values) for values in zip(*pairs, strict=True))
                print(f"| {kind} | {count:,} | {rate:,.0f} | {peak:.0f} |", flush=True)


def rows(start: int, end: int) -> Iterator[dict[str, str]]:
    """Rows as a shop has them."""
    for number in range(start, end):
        yield {
            "sku": f"SKU-{number:07}",
            "title": f"Oak table number {number}, 200 x 90 cm",
            "image_url": f"https://cdn{number % 7}.shop.example/media/{number // 1000}/{number}.jpg?v=1",
        }


def write(folder: Path, kind: str, count: int) -> str:
    """Write a list; return its path."""
    path = folder / f"list-{count}.{kind}"
    if kind == "parquet":
        import pyarrow  # noqa: PLC0415 - an extra
        import pyarrow.parquet  # noqa: PLC0415

        schema = pyarrow.schema([(name, pyarrow.string()) for name in ("sku", "title", "image_url")])
        with pyarrow.parquet.ParquetWriter(path, schema) as writer:
            for start in range(0, count, BATCH):
                end = min(count, start + BATCH)
                writer.write_table(pyarrow.Table.from_pylist(list(rows(start, end)), schema))
        return str(path)
    with path.open("w") as file:
        if kind == "csv":
            file.write("sku,title,image_url\n")
        for row in rows(0, count):
            file.write(
                json.dumps(row) + "\n" if kind == "jsonl" else ",".join(f'"{value}"' for value in row.values()) + "\n"
            )
    return str(path)


def measure(file: str, only_read: bool) -> tuple[float, float]:
    """Rows per second of CPU time, and the peak of memory in MiB."""
    manifest = open_manifest(file, open_store)
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(dataset="lists", destination=f"{folder}/out", max_entries_per_run=None)
        store, templates = open_store(settings.destination), TemplateFolder.shipped()
        started = time.process_time()
        if only_read:
            count = sum(1 for _ in manifest)
        else:
            count = plan_run(
                manifest, settings, run_id="one", store=store, templates=templates, scratch=Path(folder)
            ).entries
        seconds = time.process_time() - started
    # Not `ru_maxrss`, which a process inherits from the one that started it.
    status = Path("/proc/self/status").read_text()
    return count / seconds, int(status.split("VmHWM:")[1].split()[0]) / 1024


if __name__ == "__main__":
    main()
