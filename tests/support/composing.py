"""Templates for tests, and composing an image with them."""

import io

from PIL import Image

from imgrelay_dagster.relay.imaging.compose import Format, Output, Template, compose
from imgrelay_dagster.relay.imaging.layout import Layout
from tests.support import picture_files as files

PNG = Output(Format.PNG)


TRANSPARENT = (0, 0, 0, 0)


def make_template(image: Image.Image) -> Template:
    """Return a template with these pixels."""
    return Template.load(files.encoded(image, "PNG"), "frame.png")


def transparent_template(size: tuple[int, int]) -> Template:
    """Return a fully transparent template."""
    return make_template(Image.new("RGBA", size, TRANSPARENT))


def compose_and_open(
    image: Image.Image | bytes, template: Template, layout: Layout | None = None, output: Output = PNG
) -> Image.Image:
    """Compose, check the reported size and the format, and return the decoded result."""
    data = image if isinstance(image, bytes) else files.encoded(image, "PNG")
    composed = compose(data, template, layout or Layout(), output, max_pixels=100_000_000)
    opened = Image.open(io.BytesIO(composed.data))
    opened.load()
    assert opened.size == (composed.width, composed.height)
    assert opened.format == output.format.upper()
    return opened
