"""Inspecting a sample of a run's stored images: whether they match the results, and how they look.

The result of a run does not depend on it.
"""

import hashlib
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from obstore.exceptions import BaseError
from obstore.store import ObjectStore
from PIL import Image

from imgrelay_dagster.relay.concurrency.background import call_ahead
from imgrelay_dagster.relay.errors import EntryFailure
from imgrelay_dagster.relay.html_report.contact_sheet import CONCURRENCY, MAX_OBJECT_BYTES, data_uri, shrink
from imgrelay_dagster.relay.outcomes import Record
from imgrelay_dagster.relay.redact import printable
from imgrelay_dagster.relay.results.history import sample_stored
from imgrelay_dagster.relay.storage.error_text import explain

SAMPLE = 24
"""Stored images that are inspected."""

TIME_LIMIT = 10.0
"""Seconds after which no further image is read."""

COLUMNS, CELL = 8, (108, 81)
"""Of the contact sheet: images in a row, and the maximum width and height of each, in pixels."""

MAX_SHEET_BYTES = 150_000
"""Maximum size of the contact sheet's data URI."""


@dataclass
class Inspection:
    """The result of an inspection.

    Attributes:
        checked: number of images that were inspected.
        mismatches: for each image that differs from the results, its key and the difference.
        images: the other images, scaled down.
    """

    checked: int = 0
    mismatches: list[str] = field(default_factory=list)
    images: list[Image.Image] = field(default_factory=list)

    def contact_sheet_uri(self) -> str | None:
        """The images as one small JPEG in a data URI; None if there are no images or the JPEG is too large."""
        if not self.images:
            return None
        sheet = _contact_sheet(self.images)
        uris = (data_uri(sheet, "jpeg", quality) for quality in (72, 50, 25))
        return next((uri for uri in uris if len(uri) < MAX_SHEET_BYTES), None)


def inspect_destination(
    store: ObjectStore, dataset: str, run_id: str, clock: Callable[[], float] = time.monotonic
) -> Inspection:
    """Check for a sample of a run's stored images whether each exists with the recorded size and SHA-256 digest.

    Raises:
        RelayError: the results cannot be read.
    """
    inspection, until = Inspection(), clock() + TIME_LIMIT
    sample = sample_stored(store, dataset, run_id, SAMPLE)
    calls = call_ahead(sample, partial(_inspect, store), concurrency=CONCURRENCY)
    for record, call in zip(sample, calls, strict=True):
        mismatch, image = call.wait()
        inspection.checked += 1
        if mismatch is not None:
            inspection.mismatches.append(f"{printable(record.key or '')}: {mismatch}")
        elif image is not None:
            inspection.images.append(image)
        if clock() > until:
            break
    return inspection


def _inspect(store: ObjectStore, record: Record) -> tuple[str | None, Image.Image | None]:
    """How a stored image differs from its record, or the image scaled down; (None, None) if it is too large to read."""
    assert record.key is not None
    mismatch, image = None, None
    try:
        found = store.get(record.key)
        size, data = found.meta["size"], b""
        if size != record.bytes_out:
            mismatch = f"{size:,} bytes, {record.bytes_out or 0:,} were stored"
        elif size <= MAX_OBJECT_BYTES:
            data = bytes(found.bytes())
            mismatch = None if hashlib.sha256(data).hexdigest() == record.sha256 else "not the bytes that were stored"
    except FileNotFoundError:
        mismatch = "gone"
    except (BaseError, OSError) as error:
        mismatch = f"cannot be read: {explain(error)}"
    if mismatch is None and data:
        with suppress(EntryFailure):
            image = shrink(data, CELL)
    return mismatch, image


def _contact_sheet(images: Sequence[Image.Image]) -> Image.Image:
    gap, (width, height) = 6, CELL
    rows = -(-len(images) // COLUMNS)
    columns = min(COLUMNS, len(images))
    sheet = Image.new("RGB", (columns * (width + gap) + gap, rows * (height + gap) + gap), "#eef1f4")
    for number, image in enumerate(images):
        left, top = gap + number % COLUMNS * (width + gap), gap + number // COLUMNS * (height + gap)
        place = (left + (width - image.width) // 2, top + (height - image.height) // 2)
        sheet.paste(image, place, image if image.mode == "RGBA" else None)
    return sheet
