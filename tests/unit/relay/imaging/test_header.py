"""Detecting the format of a body."""

import pytest
from PIL import Image

from imgrelay_dagster.relay.errors import EntryFailure
from imgrelay_dagster.relay.imaging.decode import open_source
from imgrelay_dagster.relay.outcomes import Reason
from tests.support import picture_files as files

LIMIT = 1_000_000


def refusal(data: bytes, max_pixels: int = LIMIT) -> EntryFailure:
    with pytest.raises(EntryFailure) as caught:
        open_source(data, max_pixels)
    return caught.value


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"<!DOCTYPE html><html>404</html>", "HTML page"),
        (b"\n <HTML><body>", "HTML page"),
        (b"<?xml version='1.0'?><svg/>", "SVG"),
        (b"BM" + bytes(100), "bytes 42 4d 00"),
        (b"\0\0\0\x18ftypisom\0\0\0\0mp42isom", "video"),
        (b"RIFF\x24\0\0\0WAVEfmt ", "sound"),
        (b"%PDF-1.7", "PDF"),
        (b"x", "text"),
        (b"\x81", "bytes 81"),
    ],
)
def test_unsupported_format_is_refused_with_a_description(body: bytes, detail: str) -> None:
    failure = refusal(body)
    assert failure.reason == Reason.UNSUPPORTED_FORMAT
    assert detail in failure.detail
    assert "JPEG, PNG, WebP, GIF, AVIF" in failure.detail


@pytest.mark.parametrize("file_format", ["PPM", "TGA", "PCX", "SGI"])
def test_other_formats_that_pillow_reads_are_refused(file_format: str) -> None:
    data = files.encoded(Image.new("RGB", (32, 32)), file_format)
    assert refusal(data).reason == Reason.UNSUPPORTED_FORMAT


def test_empty_body_has_its_own_reason() -> None:
    assert refusal(b"").reason == Reason.EMPTY_BODY
