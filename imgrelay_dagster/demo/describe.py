"""Describes the results of a demo run, for the end of its output."""

import json
from itertools import islice
from pathlib import Path
from typing import Any

from imgrelay_dagster.relay.records.layout import DATASETS_PREFIX, RESULTS_FILE, runs_prefix

SHOWN_PICTURES = 4


def describe_folder(out: Path) -> str:
    """Return a text with the report of the newest run in the folder `out` and some of its pictures."""
    runs = sorted((out / runs_prefix("demo")).glob(f"*/{RESULTS_FILE}"), key=lambda path: path.stat().st_mtime)
    if not runs:
        return f"No results in {out.absolute()}: the run ended too early."
    with runs[-1].open(encoding="utf-8") as file:
        results = (json.loads(line) for line in file)
        done = (result["key"] for result in results if result["outcome"] in ("uploaded", "unchanged"))
        composed = [str(out / key) for key in islice(done, SHOWN_PICTURES)]
    lines = ["Some of the composed pictures:", *composed, "Results and report:", str(runs[-1].parent)]
    return "\n".join([*_indented(lines), "Run `make dev` for the Dagster UI."])


def describe_bucket(client: Any, bucket: str, prefix: str) -> str:
    """Return a text with the number of objects below `prefix` and the first few of them."""
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix}/")
    keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
    composed = [key for key in keys if not key.startswith(f"{prefix}/{DATASETS_PREFIX}")]
    lines = [
        f"s3://{bucket} holds {len(composed)} composed pictures and {len(keys) - len(composed)} records:",
        *composed[:SHOWN_PICTURES],
        "The S3 server of the demo stops now, and its data is deleted.",
    ]
    return "\n".join(_indented(lines))


def _indented(lines: list[str]) -> list[str]:
    return [line if line.endswith((":", ".")) else f"  {line}" for line in lines]
