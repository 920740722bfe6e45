"""Output: formats, their limits and their options."""

from collections.abc import Callable

import pytest
from PIL import Image

from imgrelay_dagster.relay.errors import EntryFailure, RelayError
from imgrelay_dagster.relay.imaging.compose import Composed, Format, Output, compose
from imgrelay_dagster.relay.imaging.layout import Layout
from imgrelay_dagster.relay.outcomes import Reason
from tests.support import picture_files as files
from tests.support.composing import compose_and_open, transparent_template


@pytest.mark.parametrize(
    ("file_format", "side", "limit"),
    [(Format.WEBP, 16_384, 16_383), (Format.JPEG, 65_501, 65_500), (Format.PNG, 100_001, 100_000)],
)
def test_size_beyond_the_formats_limit_is_a_compose_error(file_format: Format, side: int, limit: int) -> None:
    data = files.encoded(Image.new("1", (1, side)), "PNG")
    with pytest.raises(EntryFailure) as caught:
        compose(data, transparent_template((4, 4)), Layout(), Output(file_format), max_pixels=10**6)
    assert caught.value.reason == Reason.COMPOSE_ERROR
    assert f"{file_format} holds at most {limit} pixels a side" in caught.value.detail
    assert f"1x{side}" in caught.value.detail


@pytest.mark.parametrize(("file_format", "side"), [(Format.WEBP, 16_383), (Format.JPEG, 65_500), (Format.PNG, 100_000)])
def test_largest_size_of_a_format_is_encoded(file_format: Format, side: int) -> None:
    assert compose_and_open(
        Image.new("1", (2, side)), transparent_template((4, 4)), output=Output(file_format)
    ).size == (
        2,
        side,
    )


def test_quality_and_compress_level_reach_the_encoder() -> None:
    image, template = files.noise((200, 200)), transparent_template((4, 4))

    def stored(output: Output) -> Composed:
        return compose(files.encoded(image, "PNG"), template, Layout(), output, max_pixels=10**6)

    for file_format in (Format.JPEG, Format.WEBP):
        low, high = (len(stored(Output(file_format, quality=quality)).data) for quality in (20, 95))
        assert low * 2 < high
    plain, packed = (len(stored(Output(Format.PNG, png_compress_level=level)).data) for level in (0, 6))
    assert packed < plain


def test_extension_and_content_type() -> None:
    attributes = {
        item: (Output(item).extension, Output(item).content_type) for item in Format if item is not Format.SOURCE
    }
    assert attributes == {
        Format.JPEG: (".jpg", "image/jpeg"),
        Format.PNG: (".png", "image/png"),
        Format.WEBP: (".webp", "image/webp"),
        Format.AVIF: (".avif", "image/avif"),
    }


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Output(background="no such colour"), "background 'no such colour'"),
        (lambda: Output(background=""), "background ''"),
        (lambda: Output(quality=0), "quality 0"),
        (lambda: Output(quality=101), "quality 101"),
        (lambda: Output(png_compress_level=10), "png_compress_level 10"),
    ],
)
def test_invalid_option_is_refused_with_name_and_value(make: Callable[[], Output], message: str) -> None:
    with pytest.raises(RelayError, match=message):
        make()
