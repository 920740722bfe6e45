"""Templates: loading, and the cache of scaled layers."""

import gc
import hashlib
import weakref

import pytest
from PIL import Image

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.imaging.compose import Template
from imgrelay_dagster.relay.imaging.template import MAX_CACHED_PIXELS, MAX_KEPT_PIXELS
from tests.support import picture_files as files
from tests.support.composing import compose_and_open, transparent_template


@pytest.mark.parametrize("data", [b"", b"<html>", files.encoded(Image.new("RGB", (9, 9)), "PNG")[:40]])
def test_template_that_is_not_an_image_is_refused_by_name(data: bytes) -> None:
    with pytest.raises(RelayError, match=r"^template 'frame2\.png' cannot be used: .{10}"):
        Template.load(data, "frame2.png")


def test_template_has_digest_and_size() -> None:
    data = files.encoded(Image.new("RGB", (9, 5)), "JPEG")
    template = Template.load(data, "frame.jpg")
    assert template.digest == hashlib.sha256(data).hexdigest()
    assert (template.image.mode, template.size) == ("RGBA", (9, 5))


def test_cache_of_scaled_layers_is_bounded() -> None:
    template = transparent_template((8, 8))
    for width in range(1000, 1060):
        compose_and_open(Image.new("1", (width, 500)), template)
    assert MAX_CACHED_PIXELS - 600_000 < template._layers.weight <= MAX_CACHED_PIXELS


def test_template_too_large_for_the_cache_is_drawn_whole() -> None:
    side = int(MAX_CACHED_PIXELS**0.5) + 1
    template = transparent_template((side, side))
    template.image.putpixel((side - 1, side - 1), (255, 0, 0, 255))
    composed = compose_and_open(Image.new("RGB", (side, side)), template)
    assert composed.getpixel((side - 1, side - 1)) != (0, 0, 0)
    assert template._layers.weight == 0


def test_a_template_is_kept_for_the_next_step_with_its_layers() -> None:
    data = files.encoded(Image.new("RGBA", (40, 30)), "PNG")
    template = Template.load(data, "frame.png")
    compose_and_open(Image.new("1", (500, 400)), template)
    assert Template.load(data, "frame.png") is template
    assert template._layers.weight > 0
    other = Template.load(data, "badge.png")  # its messages name it
    assert (other.name, template.name) == ("badge.png", "frame.png")


def test_a_template_with_large_layers_is_not_kept() -> None:
    data = files.encoded(Image.new("RGBA", (40, 30)), "PNG")
    template = Template.load(data, "frame.png")
    width = MAX_KEPT_PIXELS // 1000 + 1
    compose_and_open(Image.new("1", (width, 1000)), template)
    assert template._layers.weight > MAX_KEPT_PIXELS
    gone = weakref.ref(template)
    del template
    gc.collect()
    assert gone() is None
