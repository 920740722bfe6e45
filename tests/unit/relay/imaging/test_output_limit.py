"""Output of the source's format, and output that is limited in bytes."""

from dataclasses import replace

import pytest
from PIL import Image

from imgrelay_dagster.relay.errors import EntryFailure, RelayError
from imgrelay_dagster.relay.imaging.compose import Composed, Format, Output, compose
from imgrelay_dagster.relay.imaging.layout import Layout
from imgrelay_dagster.relay.imaging.output import encode
from imgrelay_dagster.relay.imaging.output_limit import encode_within_limit
from imgrelay_dagster.relay.open_keys import EXTENSIONS, candidates, opened, settled
from imgrelay_dagster.relay.outcomes import Reason
from imgrelay_dagster.relay.planning.setting_warnings import output_warnings
from tests.support import picture_files as files
from tests.support.composing import transparent_template

NOISE = files.noise((160, 120))


def composed(data: bytes, output: Output) -> Composed:
    return compose(data, transparent_template((4, 4)), Layout(), output, max_pixels=10**6)


@pytest.mark.parametrize(
    ("source", "extension", "content_type"),
    [
        ("JPEG", "jpg", "image/jpeg"),
        ("PNG", "png", "image/png"),
        ("WEBP", "webp", "image/webp"),
        ("AVIF", "avif", "image/avif"),
        ("GIF", "jpg", "image/jpeg"),
        ("BMP", "jpg", "image/jpeg"),
        ("TIFF", "jpg", "image/jpeg"),
    ],
)
def test_output_has_the_format_of_the_source_if_it_is_written(source: str, extension: str, content_type: str) -> None:
    output = Output(Format.SOURCE)
    result = composed(files.encoded(NOISE, source), output)
    assert result.extension == extension
    assert output.content_type_of(result.data) == content_type
    assert result.quality == (None if extension == "png" else 85)
    assert extension in EXTENSIONS


def test_every_extension_may_be_that_of_an_open_key() -> None:
    assert {Output(item).extension for item in Format} == {f".{extension}" for extension in (*EXTENSIONS, "*")}
    assert candidates("a/b.*") == ("a/b.jpg", "a/b.png", "a/b.webp", "a/b.avif")
    assert (candidates("a/b.png"), settled("a/b.png", "jpg")) == (("a/b.png",), "a/b.png")
    assert (settled("a.b.*", "png"), opened("a.b.png")) == ("a.b.png", "a.b.*")
    assert (opened("a.gif"), opened("a")) == (None, None)


@pytest.mark.parametrize("written", [Format.JPEG, Format.WEBP, Format.AVIF])
def test_quality_is_as_high_as_the_limit_allows(written: Format) -> None:
    output = Output(written, speed=10)
    sizes = {quality: len(encode(NOISE, replace(output, quality=quality))) for quality in (60, 85)}
    limited = replace(output, max_output_bytes=(sizes[60] + sizes[85]) // 2)
    data, quality = encode_within_limit(NOISE, limited)
    assert quality is not None
    assert 60 <= quality < 85
    assert len(data) <= (limited.max_output_bytes or 0)
    assert data == encode(NOISE, replace(output, quality=quality))
    assert len(encode(NOISE, replace(output, quality=quality + 1))) > (limited.max_output_bytes or 0)


def test_image_that_fits_keeps_its_quality() -> None:
    assert composed(files.encoded(NOISE, "PNG"), Output(max_output_bytes=10**6)).quality == 85


@pytest.mark.parametrize(
    ("output", "words"),
    [
        (Output(max_output_bytes=900, min_quality=40), "with min_quality 40"),
        (Output(max_output_bytes=900, quality=30, min_quality=30), "with min_quality 30"),
        (Output(Format.SOURCE, max_output_bytes=900), "a lossless format"),
    ],
)
def test_image_that_cannot_fit_fails(output: Output, words: str) -> None:
    with pytest.raises(EntryFailure) as caught:
        composed(files.encoded(NOISE, "PNG"), output)
    assert caught.value.reason is Reason.OUTPUT_TOO_LARGE
    assert words in caught.value.detail
    assert "output.max_output_bytes is 900" in caught.value.detail


def test_bisection_encodes_at_most_eight_times() -> None:
    calls: list[int] = []

    def stub(_: Image.Image, output: Output) -> bytes:
        calls.append(output.quality)
        return bytes(output.quality)

    for limit in range(1, 101):
        calls.clear()
        data, quality = encode_within_limit(NOISE, Output(quality=100, min_quality=1, max_output_bytes=limit), stub)
        assert (len(data), quality) == (limit, limit)
        assert len(calls) <= 9


def test_contradicting_options_are_refused_at_start() -> None:
    with pytest.raises(RelayError, match="png is lossless; choose format jpeg, webp or avif"):
        Output(Format.PNG, max_output_bytes=1000).check()
    with pytest.raises(RelayError, match="min_quality 90 is not between 1 and output quality 85"):
        Output(max_output_bytes=1000, min_quality=90)
    assert "fail as output_too_large" in output_warnings(Output(Format.SOURCE, max_output_bytes=1000))[0]
    assert output_warnings(Output(Format.SOURCE)) == ()
