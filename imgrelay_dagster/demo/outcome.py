"""Says where to look after a demo run."""

import json
from itertools import islice
from pathlib import Path
from typing import Any

SHOWN = 4


def describe_folder(out: Path) -> str:
    """The report of the newest run in the folder `out` and a few composed pictures, as text."""
    runs = sorted((out / "_relay" / "demo" / "runs").glob("*/results.jsonl"), key=lambda path: path.stat().st_mtime)
    if not runs:
        return f"No results in {out.absolute()}: the run did not come that far."
    with runs[-1].open(encoding="utf-8") as lines:
        results = (json.loads(line) for line in lines)
        done = (result["key"] for result in results if result["outcome"] in ("uploaded", "unchanged"))
        composed = [str(out / key) for key in islice(done, SHOWN)]
    told = ["Composed pictures, among others:", *composed, "Results and report:", str(runs[-1].parent)]
    return "\n".join([*_indented(told), "Run `make dev` for the Dagster UI."])


def describe_bucket(client: Any, bucket: str, prefix: str) -> str:
    """How many objects lie below `prefix`, and the first few, as text."""
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix}/")
    keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
    composed = [key for key in keys if not key.startswith(f"{prefix}/_relay/")]
    told = [
        f"s3://{bucket} holds {len(composed)} composed pictures and {len(keys) - len(composed)} records:",
        *composed[:SHOWN],
        "The S3 server of the demo stops now, and its data goes with it.",
    ]
    return "\n".join(_indented(told))


def _indented(lines: list[str]) -> list[str]:
    return [line if line.endswith((":", ".")) else f"  {line}" for line in lines]
