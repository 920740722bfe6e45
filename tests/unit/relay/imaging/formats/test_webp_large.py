"""A large WebP has the same pixels as by Pillow's decoder."""

import io

import pytest
from PIL import Image

from benchmarks.memory.pictures import webp_animation
from imgrelay_dagster.relay.imaging.formats import webp, webp_large
from tests.support import picture_files as files

SIZE = (90, 70)
EXIF = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"

STILLS = {
    "lossy": files.encoded(files.noise(SIZE), "WEBP"),
    "lossy with alpha": files.encoded(files.noise(SIZE, mode="RGBA"), "WEBP"),
    "lossless": files.encoded(files.noise(SIZE), "WEBP", lossless=True),
    "lossless with alpha": files.encoded(files.noise(SIZE, mode="RGBA"), "WEBP", lossless=True, exact=True),
    "metadata": files.encoded(files.noise(SIZE), "WEBP", exif=EXIF, icc_profile=files.rgb_profile()),
}
ANIMATIONS = {
    f"animation of {name}": files.encoded(
        files.noise(SIZE, mode=mode), "WEBP", lossless=lossless, save_all=True, append_images=[Image.new(mode, SIZE)]
    )
    for name, mode, lossless in [("RGB", "RGB", False), ("RGBA", "RGBA", False), ("lossless RGBA", "RGBA", True)]
}
SMALLER = files.encoded(files.noise((40, 30), mode="RGBA"), "WEBP", lossless=True, exact=True)
ANIMATIONS["smaller frame"] = webp_animation(SIZE, SMALLER, (40, 30))
ALL = STILLS | ANIMATIONS


@pytest.mark.parametrize("data", ALL.values(), ids=ALL)
def test_pixels_and_metadata_are_those_of_pillow(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = webp.decode(data, SIZE)
    monkeypatch.setattr(webp_large, "MIN_PIXELS", 0)
    monkeypatch.setattr(webp.WebPImagePlugin, "WebPImageFile", None)
    found = webp.decode(data, SIZE)
    assert (found.image.mode, found.image.tobytes()) == (expected.image.mode, expected.image.tobytes())
    assert (found.colors, found.orientation, found.frames, found.exif) == (
        expected.colors,
        expected.orientation,
        expected.frames,
        expected.exif,
    )


@pytest.mark.parametrize("data", ALL.values(), ids=ALL)
def test_half_a_file_is_broken(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webp_large, "MIN_PIXELS", 0)
    with pytest.raises(ValueError, match=r"broken|no frame"):
        webp.decode(data[: len(data) // 2], SIZE)


def test_a_frame_outside_its_canvas_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webp_large, "MIN_PIXELS", 0)
    data = webp_animation((30, 30), SMALLER, (40, 30))
    with pytest.raises(ValueError, match="outside"):
        webp.decode(data, (30, 30))


def test_pillow_decodes_where_libwebp_cannot_be_called(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webp_large, "MIN_PIXELS", 0)
    monkeypatch.setattr(webp_large, "_decoder", lambda: None)
    data = STILLS["lossless"]
    assert webp.decode(data, SIZE).image.tobytes() == Image.open(io.BytesIO(data)).tobytes()
