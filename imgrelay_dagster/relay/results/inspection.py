"""Looking into the destination after a run: does it hold what the results say, and how do the images look?

A sample, within limits: nothing of a run depends on it.
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

from imgrelay_dagster.relay.concurrency.background import ahead
from imgrelay_dagster.relay.errors import EntryFailure
from imgrelay_dagster.relay.html_report.contact_sheet import AT_ONCE, LARGEST_OBJECT, data_uri, shrunk
from imgrelay_dagster.relay.outcomes import Record
from imgrelay_dagster.relay.redact import printable
from imgrelay_dagster.relay.results.history import sample_stored
from imgrelay_dagster.relay.storage.stores import explain

SAMPLE = 24
"""Stored images looked at."""

SECONDS = 10.0
"""After so long no further image is read."""

COLUMNS, CELL = 8, (108, 81)
"""Of the sheet: images in a row, and the largest width and height of each, in pixels."""

LARGEST_SHEET = 150_000
"""Bytes of the sheet, as base64 has them."""


@dataclass
class Inspection:
    """How many stored images were looked at, what was wrong with some, and how they look, made small."""

    checked: int = 0
    wrong: list[str] = field(default_factory=list)
    images: list[Image.Image] = field(default_factory=list)

    def sheet(self) -> str | None:
        """The images as one small JPEG, embedded as a data URI; None where there are none."""
        if not self.images:
            return None
        sheet = _contact_sheet(self.images)
        uris = (data_uri(sheet, "jpeg", quality) for quality in (72, 50, 25))
        return next((uri for uri in uris if len(uri) < LARGEST_SHEET), None)


def inspect_destination(
    store: ObjectStore, dataset: str, run_id: str, clock: Callable[[], float] = time.monotonic
) -> Inspection:
    """Compare a sample of a run's stored images with its results: there, as large, the same bytes.

    Raises:
        RelayError: the results cannot be read.
    """
    seen, until = Inspection(), clock() + SECONDS
    sample = sample_stored(store, dataset, run_id, SAMPLE)
    for record, looking in zip(sample, ahead(sample, partial(_look_at, store), at_once=AT_ONCE), strict=True):
        wrong, image = looking.wait()
        seen.checked += 1
        if wrong is not None:
            seen.wrong.append(f"{printable(record.key or '')}: {wrong}")
        elif image is not None:
            seen.images.append(image)
        if clock() > until:
            break
    return seen


def _look_at(store: ObjectStore, record: Record) -> tuple[str | None, Image.Image | None]:
    """What is wrong with a stored image, or how it looks, made small; neither for one too large to be read."""
    assert record.key is not None
    wrong, image = None, None
    try:
        found = store.get(record.key)
        size, data = found.meta["size"], b""
        if size != record.bytes_out:
            wrong = f"{size:,} bytes, {record.bytes_out or 0:,} were stored"
        elif size <= LARGEST_OBJECT:
            data = bytes(found.bytes())
            wrong = None if hashlib.sha256(data).hexdigest() == record.sha256 else "not the bytes that were stored"
    except FileNotFoundError:
        wrong = "gone"
    except (BaseError, OSError) as error:
        wrong = f"cannot be read: {explain(error)}"
    if wrong is None and data:
        with suppress(EntryFailure):
            image = shrunk(data, CELL)
    return wrong, image


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
