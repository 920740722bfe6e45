"""Encoding within a number of bytes: the quality is lowered until the image fits."""

from collections.abc import Callable
from dataclasses import replace

from PIL import Image

from imgrelay_dagster.relay.errors import EntryFailure
from imgrelay_dagster.relay.imaging.output import Output, encode
from imgrelay_dagster.relay.outcomes import Reason

Encode = Callable[[Image.Image, Output], bytes]


def encode_within_limit(image: Image.Image, output: Output, encode: Encode = encode) -> tuple[bytes, int | None]:
    """Encode an image in at most `output.max_output_bytes`, with the highest quality that fits.

    The quality is found by bisection between `min_quality` and `quality`, with at most eight encodings.

    Returns:
        The file and its quality, which is None for a lossless format.

    Raises:
        EntryFailure: output_too_large: it is larger even with `min_quality`. Also raises what `encode` raises.
    """
    quality, limit = output.quality if output.has_quality else None, output.max_output_bytes
    data = encode(image, output)
    if limit is None or len(data) <= limit:
        return data, quality
    if quality is None:
        raise _too_large(data, output, "a lossless format")
    fitting, lowest = None, output.min_quality
    if lowest < quality:
        data = encode(image, replace(output, quality=lowest))
        fitting = data if len(data) <= limit else None
    if fitting is None:
        raise _too_large(data, output, f"with min_quality {lowest}")
    while quality - lowest > 1:
        middle = (lowest + quality) // 2
        data = encode(image, replace(output, quality=middle))
        if len(data) <= limit:
            fitting, lowest = data, middle
        else:
            quality = middle
    return fitting, lowest


def _too_large(data: bytes, output: Output, why: str) -> EntryFailure:
    detail = (
        f"the {output.format} has {len(data):,} bytes ({why}); output.max_output_bytes is {output.max_output_bytes:,}; "
        "lower min_quality or the size of the image"
    )
    return EntryFailure(Reason.OUTPUT_TOO_LARGE, detail)
