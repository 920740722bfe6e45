"""Records, summaries and stored images for tests of `report.html`."""

import io

from obstore.store import MemoryStore
from PIL import Image

from imgrelay_dagster.relay.outcomes import Outcome, Reason, Record, Seconds
from imgrelay_dagster.relay.records.summary import Summary
from imgrelay_dagster.relay.settings import Settings

SETTINGS = Settings(dataset="birds", destination="s3://shop/birds")


def uploaded(line: int, url: str = "https://one.example/a.jpg", **more: object) -> Record:
    """Return the record of an uploaded image; keyword arguments replace its values."""
    values = {
        "key": f"one.example/{line}.jpg",
        "fingerprint": "f0",
        "attempts": 1,
        "bytes_in": 20_000,
        "bytes_out": 15_000,
        "width": 40,
        "height": 30,
        "seconds": Seconds(0.2, 0.01, 0.02),
        "at": 1000.0 + line / 10,
        **more,
    }
    return Record(line, url, outcome=Outcome.UPLOADED, **values)


def failed(
    line: int, url: str = "https://one.example/b.jpg", reason: Reason = Reason.TIMEOUT, **more: object
) -> Record:
    """Return the record of a failed entry; keyword arguments replace its values."""
    values = {"fingerprint": "f0", "attempts": 3, "at": 1000.0 + line / 10, "detail": "no byte for 10 s", **more}
    return Record(line, url, outcome=Outcome.FAILED, reason=reason, **values)


def summary_of(records: list[Record], **more: object) -> Summary:
    """Count the records in a summary; keyword arguments replace its values."""
    outcomes = [record.outcome for record in records]
    reasons = [record.reason.value for record in records if record.reason]
    values = {
        "run_id": "run1",
        "dataset": "birds",
        "status": "success",
        "entries": len(records),
        "uploaded": outcomes.count(Outcome.UPLOADED),
        "unchanged": outcomes.count(Outcome.UNCHANGED),
        "failed": outcomes.count(Outcome.FAILED),
        "not_attempted": outcomes.count(Outcome.NOT_ATTEMPTED),
        "reasons": {reason: reasons.count(reason) for reason in dict.fromkeys(reasons)},
        "bytes_in": 1,
        "bytes_out": 1,
        "seconds": 12.5,
        "images_per_second": 3.4,
        **more,
    }
    return Summary(**values)


def store_with_image() -> MemoryStore:
    """Return a store that holds one image of 4x3 pixels, `a.png`."""
    store = MemoryStore()
    buffer = io.BytesIO()
    Image.new("RGB", (4, 3), "red").save(buffer, "png")
    store.put("a.png", buffer.getvalue())
    return store
