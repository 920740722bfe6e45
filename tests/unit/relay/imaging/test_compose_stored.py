"""What is stored of a composed image: alpha where the format has it, no metadata, and the same bytes each time."""

import hashlib
import io
import subprocess
import sys
import threading

import pytest
from PIL import Image

from imgrelay_dagster.relay.imaging.compose import Format, Output, Template, compose
from imgrelay_dagster.relay.imaging.layout import Canvas, Fit, Layout
from tests.support import picture_files as files
from tests.support.composing import compose_and_open, make_template, transparent_template

GREEN = (0, 255, 0)


def test_jpeg_fills_transparent_pixels_with_the_background() -> None:
    image = Image.new("RGBA", (32, 32), (255, 0, 0, 128))
    output = Output(Format.JPEG, quality=95, background="blue")
    result = compose_and_open(image, transparent_template((4, 4)), Layout(), output)
    assert files.largest_difference(result, [(128, 0, 127)] * 1024) <= 3


@pytest.mark.parametrize("file_format", [Format.PNG, Format.WEBP])
@pytest.mark.parametrize("fit", [Fit.COVER, Fit.CONTAIN])
def test_png_and_webp_keep_alpha_but_pad_with_the_background(file_format: Format, fit: Fit) -> None:
    layout = Layout(canvas=Canvas.TEMPLATE, fit=fit)
    image = Image.new("RGBA", (64, 32), (255, 0, 0, 100))
    result = compose_and_open(image, transparent_template((32, 32)), layout, Output(file_format, background="lime"))
    assert result.mode == "RGBA"
    center, edge = result.getpixel((16, 16)), result.getpixel((16, 1))
    assert abs(center[3] - 100) <= 1
    assert center[0] >= 248
    assert edge[3] == (255 if fit == Fit.CONTAIN else center[3])
    assert edge[1] >= 248 if fit == Fit.CONTAIN else edge[1] <= 7


def test_transparent_background_pads_transparently_if_the_format_has_alpha() -> None:
    layout = Layout(canvas=Canvas.TEMPLATE, fit=Fit.CONTAIN)
    image = Image.new("RGB", (64, 32), "red")
    padded = compose_and_open(image, transparent_template((32, 32)), layout, Output(Format.PNG, background="#00ff0000"))
    assert [padded.getpixel((16, y)) for y in (1, 16)] == [(0, 255, 0, 0), (255, 0, 0, 255)]
    opaque = compose_and_open(
        image, transparent_template((32, 32)), layout, Output(Format.JPEG, background="#00ff0000")
    )
    assert max(abs(a - b) for a, b in zip(opaque.getpixel((16, 1)), GREEN, strict=True)) <= 3


def test_an_opaque_image_gives_an_opaque_png() -> None:
    assert compose_and_open(files.noise((20, 20)), make_template(files.noise((20, 20), mode="RGBA"))).mode == "RGB"


@pytest.mark.parametrize("file_format", Format)
def test_no_metadata_of_the_source_is_stored(file_format: Format) -> None:
    exif = Image.Exif()
    exif[0x010E] = "SECRET description"
    exif.get_ifd(0x8825)[1] = "N"
    data = files.encoded(
        files.noise((64, 64)),
        "JPEG",
        exif=exif,
        icc_profile=files.rgb_profile(),
        comment="SECRET comment",
        dpi=(300, 300),
        xmp=b"<x>SECRET</x>",
    )
    assert data.count(b"SECRET") == 3
    for image in (data, files.encoded(Image.open(io.BytesIO(data)), "PNG", exif=exif, dpi=(300, 300))):
        stored = compose(image, transparent_template((9, 9)), Layout(), Output(file_format), max_pixels=10**6).data
        result = Image.open(io.BytesIO(stored))
        for signature in (
            b"SECRET",
            b"Exif",
            b"eXIf",
            b"EXIF",
            b"ICC",
            b"iCCP",
            b"pHYs",
            b"tEXt",
            b"XMP",
            b"http",
        ):
            assert signature not in stored
        allowed = {
            "jfif",
            "jfif_version",
            "jfif_unit",
            "jfif_density",
            "loop",
            "background",
            "timestamp",
            "duration",
        }
        assert set(result.info) <= allowed
        assert result.info.get("jfif_density", (1, 1)) in ((0, 0), (1, 1))


@pytest.mark.parametrize("file_format", Format)
def test_same_input_gives_the_same_bytes_in_any_thread_and_process(file_format: Format) -> None:
    image = files.encoded(files.noise((300, 200), mode="RGBA"), "PNG")
    frame = files.encoded(files.noise((50, 40), seed=3, mode="RGBA"), "PNG")
    output = Output(file_format)

    def digest(template: Template) -> str:
        composed = compose(image, template, Layout(opacity=0.7), output, max_pixels=10**6)
        return hashlib.sha256(composed.data).hexdigest()

    shared = Template.load(frame, "frame.png")
    digests: list[str] = []
    threads = [threading.Thread(target=lambda: digests.append(digest(shared))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    program = (
        "import sys, hashlib; from imgrelay_dagster.relay.imaging.compose import *;"
        "from imgrelay_dagster.relay.imaging.layout import Layout;"
        "body = sys.stdin.buffer.read(); image, frame = body[:int(sys.argv[1])], body[int(sys.argv[1]):];"
        "done = compose(image, Template.load(frame, 'f'), Layout(opacity=0.7), Output(Format(sys.argv[2])),"
        " max_pixels=10**6); print(hashlib.sha256(done.data).hexdigest())"
    )
    command = [sys.executable, "-c", program, str(len(image)), file_format]
    child = subprocess.run(command, input=image + frame, capture_output=True, check=True, timeout=60)
    assert {*digests, child.stdout.decode().strip()} == {digest(Template.load(frame, "frame.png"))}
    assert len(digests) == 6
