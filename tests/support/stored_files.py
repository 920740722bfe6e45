"""What a run stored in a folder or a bucket, and checks that it agrees with the run's summary and results."""

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

from imgrelay_dagster.demo.seaweed import SeaweedFS


class Bucket:
    """A bucket that only one test uses."""

    def __init__(self, server: SeaweedFS, name: str) -> None:
        server.create_bucket(name)
        self.client = server.client()
        self.name = name
        self.environment = server.environment()

    def objects(self) -> dict[str, bytes]:
        """Every object below the bucket's root."""
        found = {}
        for page in self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name):
            for item in page.get("Contents", []):
                found[item["Key"]] = self.client.get_object(Bucket=self.name, Key=item["Key"])["Body"].read()
        return found

    def content_type(self, key: str) -> str:
        """Return the content type of an object."""
        return self.client.head_object(Bucket=self.name, Key=key)["ContentType"]

    def images(self) -> int:
        """Return the number of images: objects outside `_relay/`."""
        listed = self.client.list_objects_v2(Bucket=self.name).get("Contents", [])
        return sum(not item["Key"].startswith("_relay/") for item in listed)


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def images(stored: dict[str, bytes]) -> dict[str, bytes]:
    return {key: data for key, data in stored.items() if not key.startswith("_relay/")}


def results(stored: dict[str, bytes], summary: dict[str, Any]) -> list[dict[str, Any]]:
    data = stored[f"_relay/{summary['dataset']}/runs/{summary['run_id']}/results.jsonl"]
    return [json.loads(line) for line in data.splitlines()]


def write_manifest(folder: Path, urls: list[str], name: str = "birds.txt") -> Path:
    path = folder / name
    path.write_text("".join(f"{url}\n" for url in urls))
    return path


def check_accounts(stored: dict[str, bytes], summary: dict[str, Any], entries: int) -> list[dict[str, Any]]:
    """Check that results and summary count each entry once, and that the stored images are those of the results."""
    assert summary["entries"] == entries
    parts = ("uploaded", "unchanged", "failed", "not_attempted")
    assert sum(summary[part] for part in parts) == entries
    rows = results(stored, summary)
    counted = Counter(row["outcome"] for row in rows)
    assert {part: counted[part] for part in parts} == {part: summary[part] for part in parts}
    assert [row["line"] for row in rows] == list(range(1, entries + 1))
    assert set(images(stored)) == {row["key"] for row in rows if row["outcome"] in ("uploaded", "unchanged")}
    beside = {key.split("/")[2] for key in stored if key.startswith("_relay/")}
    assert beside == {"runs", "receipts"}
    assert not [key for key in stored if key.endswith(("probe", "ledger.jsonl.gz"))]
    return rows


def check_right(stored: dict[str, bytes], rows: list[dict[str, Any]]) -> None:
    """Check size and hash of every image that the results list as stored."""
    for row in rows:
        if row["outcome"] in ("uploaded", "unchanged"):
            data = stored[row["key"]]
            assert (len(data), hashlib.sha256(data).hexdigest()) == (row["bytes_out"], row["sha256"]), row["key"]
