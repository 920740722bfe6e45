"""The contact sheet: a few stored images, read back from the destination and made small.

Nothing here is needed: an image that is gone or cannot be read is left out, and time and bytes are bounded.
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

from imgrelay_dagster.relay.concurrency.background import ahead
from imgrelay_dagster.relay.errors import EntryFailure
from imgrelay_dagster.relay.html_report.statistics import Stored
from imgrelay_dagster.relay.imaging.decode import HIGHEST_MAX_PIXELS, Source
from imgrelay_dagster.relay.imaging.header import SourceFormat
from imgrelay_dagster.relay.imaging.layout import Size
from imgrelay_dagster.relay.imaging.output import WEBP_METHOD

SIDES = (240, 180)
"""Largest width and height of a picture on the sheet, in pixels: sharp at half of it on a phone."""

QUALITY = 60
SECONDS = 8.0
"""After so long no further image is read."""

LARGEST_OBJECT = 32_000_000
"""Bytes of a stored image that is read back."""

LARGEST_DECODED = 16_000_000
"""Pixels of a stored image that is decoded whole; a JPEG is decoded at a fraction of its size."""

LARGEST_SHEET = 360_000
"""Bytes of all pictures, as base64 has them."""

AT_ONCE = 4
"""Images read and made small at a time."""

TROUBLES = 3
"""Reads that fail before the store is left alone."""


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A stored image made small: the picture, and how it is embedded in a page."""

    stored: Stored
    image: Image.Image
    uri: str


def thumbnails(
    store: ObjectStore, sample: Iterable[Stored], clock: Callable[[], float] = time.monotonic
) -> list[Thumbnail]:
    """The stored images of `sample` that can be read within the limits above, made small, in order."""
    found, size, until = [], 0, clock() + SECONDS
    for small in _each(store, sample):
        size += len(small.uri)
        if size > LARGEST_SHEET:
            break
        found.append(small)
        if clock() > until:
            break
    return found


def _each(store: ObjectStore, sample: Iterable[Stored]) -> Iterator[Thumbnail]:
    troubles = 0
    for reading in ahead(sample, partial(_thumbnail, store), at_once=AT_ONCE):
        try:
            small = reading.wait()
        except (FileNotFoundError, EntryFailure):
            continue
        except (BaseError, OSError, ValueError):
            troubles += 1
            if troubles == TROUBLES:
                return
            continue
        if small is not None:
            yield small


def _thumbnail(store: ObjectStore, stored: Stored) -> Thumbnail | None:
    found = store.get(stored.key)
    if found.meta["size"] > LARGEST_OBJECT:
        return None
    image = shrunk(bytes(found.bytes()), SIDES)
    return Thumbnail(stored, image, data_uri(image, "webp", QUALITY))


def shrunk(data: bytes, sides: Size) -> Image.Image:
    """The picture in `data`, at most as wide and high as `sides`; a grey one for what would take long to decode.

    Raises EntryFailure: it is no picture.
    """
    source = Source.inspect(data, HIGHEST_MAX_PIXELS)
    if source.format is not SourceFormat.JPEG and source.pixels > LARGEST_DECODED:
        return Image.new("RGB", sides, "#888888")
    image = source.decode(lambda size: _within(size, sides)).image
    return image.resize(_within(image.size, sides), Image.Resampling.BICUBIC, reducing_gap=2.0)


def _within(size: Size, sides: Size) -> Size:
    """The size cut down to `sides`, its shape kept."""
    ratio = min(1.0, sides[0] / size[0], sides[1] / size[1])
    return max(1, round(size[0] * ratio)), max(1, round(size[1] * ratio))


def data_uri(image: Image.Image, kind: str, quality: int) -> str:
    """The image as it stands in the `src` of an `img`."""
    buffer = io.BytesIO()
    image.save(buffer, kind, quality=quality, method=WEBP_METHOD)
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"
