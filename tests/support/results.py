"""Summaries and stored results of runs, made without a run."""

import hashlib
import io
from pathlib import Path

from obstore.store import LocalStore, ObjectStore
from PIL import Image

from imgrelay_dagster.relay.outcomes import Outcome, Reason, Record
from imgrelay_dagster.relay.records.receipts import (
    copy_receipts,
    list_receipts,
    merge_receipts,
    read_listed,
    record_json,
)
from imgrelay_dagster.relay.records.summary import Summary
from imgrelay_dagster.relay.results.inspection import SAMPLE


def summary(**fields: object) -> Summary:
    """The summary of a run of five entries that succeeded, with these fields changed."""
    values = {"run_id": "run1", "dataset": "birds", "status": "success", "entries": 5, "uploaded": 5, "unchanged": 0}
    values |= {"failed": 0, "not_attempted": 0, "reasons": {}, "bytes_in": 0, "bytes_out": 0, "seconds": 1.0}
    return Summary(**{**values, "images_per_second": 5.0, **fields})


def destination_with_results(folder: Path) -> LocalStore:
    """A destination with the results of run `run1`, which stored `SAMPLE` images of noise."""
    store = LocalStore(folder)
    lines = []
    for line in range(1, SAMPLE + 1):
        buffer = io.BytesIO()
        Image.effect_noise((320, 240), 90 + line).save(buffer, "jpeg")
        data = buffer.getvalue()
        store.put(f"h/{line}.jpg", data)
        digest = hashlib.sha256(data).hexdigest()
        stored = {"outcome": Outcome.UPLOADED, "bytes_out": len(data), "sha256": digest}
        lines.append(record_json.dump_json(Record(line, "http://h/a", key=f"h/{line}.jpg", **stored)))
    lines.append(record_json.dump_json(Record(99, "http://h/b", outcome=Outcome.FAILED, reason=Reason.TIMEOUT)))
    store.put("_relay/birds/runs/run1/results.jsonl", b"\n".join(lines) + b"\n")
    return store


def merge_all(store: ObjectStore, prefix: str, folder: Path) -> None:
    """Merge the receipts below a prefix, as is done after they were read for results."""
    listed, merged = list_receipts(store, prefix), folder / "merged.jsonl"
    for _ in copy_receipts(read_listed(store, listed), merged):
        pass
    merge_receipts(store, prefix, listed, merged)
