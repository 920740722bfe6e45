"""The contact sheet: thumbnails of a few stored images, read back from the destination.

The sheet is optional: an image that is gone or cannot be read is left out. Time and bytes are bounded.
"""

import base64
import io
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

from obstore.exceptions import BaseError
from obstore.store import ObjectStore
from PIL import Image

from imgrelay_dagster.relay.concurrency.background import call_ahead
from imgrelay_dagster.relay.errors import EntryFailure
from imgrelay_dagster.relay.html_report.statistics import StoredImage
from imgrelay_dagster.relay.imaging.decode import HIGHEST_MAX_PIXELS, Source
from imgrelay_dagster.relay.imaging.formats.signatures import SourceFormat
from imgrelay_dagster.relay.imaging.layout import Size
from imgrelay_dagster.relay.imaging.output import WEBP_METHOD

MAX_SIZE = (240, 180)
"""Largest width and height of a thumbnail in pixels; phones show it at half the size, so it stays sharp."""

QUALITY = 60
"""WebP quality of a thumbnail."""

TIME_LIMIT = 8.0
"""Seconds after which no further image is read."""

MAX_OBJECT_BYTES = 32_000_000
"""Largest stored image that is read back."""

MAX_DECODED_PIXELS = 16_000_000
"""Largest image that is decoded, except JPEG, which is decoded at a reduced size."""

MAX_SHEET_BYTES = 360_000
"""Largest total of all thumbnails in the page, as base64."""

CONCURRENCY = 4
"""Images read and scaled at the same time."""

MAX_STORE_ERRORS = 3
"""Failed reads after which no further image is read."""


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A thumbnail of a stored image, as pixels and as a data URI."""

    stored: StoredImage
    image: Image.Image
    uri: str


def read_thumbnails(
    store: ObjectStore, sample: Iterable[StoredImage], clock: Callable[[], float] = time.monotonic
) -> list[Thumbnail]:
    """Return thumbnails of the images in `sample`, in order, as far as they can be read within the limits above."""
    found, size, deadline = [], 0, clock() + TIME_LIMIT
    for thumbnail in _read_all(store, sample):
        size += len(thumbnail.uri)
        if size > MAX_SHEET_BYTES:
            break
        found.append(thumbnail)
        if clock() > deadline:
            break
    return found


def _read_all(store: ObjectStore, sample: Iterable[StoredImage]) -> Iterator[Thumbnail]:
    errors = 0
    for pending in call_ahead(sample, partial(_read_thumbnail, store), concurrency=CONCURRENCY):
        try:
            thumbnail = pending.wait()
        except (FileNotFoundError, EntryFailure):
            continue
        except (BaseError, OSError, ValueError):
            errors += 1
            if errors == MAX_STORE_ERRORS:
                return
            continue
        if thumbnail is not None:
            yield thumbnail


def _read_thumbnail(store: ObjectStore, stored: StoredImage) -> Thumbnail | None:
    result = store.get(stored.key)
    if result.meta["size"] > MAX_OBJECT_BYTES:
        return None
    image = shrink(bytes(result.bytes()), MAX_SIZE)
    return Thumbnail(stored, image, data_uri(image, "webp", QUALITY))


def shrink(data: bytes, max_size: Size) -> Image.Image:
    """Decode `data` and scale it down to fit `max_size`; return a grey image when decoding would take long.

    Raises EntryFailure: `data` is not a supported image.
    """
    source = Source.inspect(data, HIGHEST_MAX_PIXELS)
    if source.format is not SourceFormat.JPEG and source.pixels > MAX_DECODED_PIXELS:
        return Image.new("RGB", max_size, "#888888")
    image = source.decode(lambda size: _fit(size, max_size)).image
    return image.resize(_fit(image.size, max_size), Image.Resampling.BICUBIC, reducing_gap=2.0)


def _fit(size: Size, max_size: Size) -> Size:
    """Return the size scaled down to fit `max_size`, with its aspect ratio kept."""
    ratio = min(1.0, max_size[0] / size[0], max_size[1] / size[1])
    return max(1, round(size[0] * ratio)), max(1, round(size[1] * ratio))


def data_uri(image: Image.Image, media_subtype: str, quality: int) -> str:
    """Encode an image as a data URI for the `src` of an `img`. `media_subtype` is `webp` or `jpeg`."""
    buffer = io.BytesIO()
    image.save(buffer, media_subtype, quality=quality, method=WEBP_METHOD)
    return f"data:image/{media_subtype};base64,{base64.b64encode(buffer.getvalue()).decode()}"
