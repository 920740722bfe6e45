"""Decode the first frame of a GIF. Outside a frame that is smaller than the screen, browsers show nothing."""

import io

from PIL import GifImagePlugin

from imgrelay_dagster.relay.imaging.color import to_eight_bits
from imgrelay_dagster.relay.imaging.formats.gif_blocks import count_frames, first_frame
from imgrelay_dagster.relay.imaging.formats.picture import Picture, on_transparent_canvas
from imgrelay_dagster.relay.imaging.layout import Size


def decode(data: bytes, size: Size) -> Picture:
    """Decode a GIF whose screen and first frame take this size.

    Raises ValueError or OSError when it is broken.
    """
    image = GifImagePlugin.GifImageFile(io.BytesIO(data))
    if image.size != size:
        raise ValueError(f"its header states {size[0]}x{size[1]} pixels, its decoder {image.width}x{image.height}")
    image.load()
    picture = Picture(image, size, image.info.get("icc_profile"), frames=count_frames(data))
    left, top, right, bottom = first_frame(data)
    if (left, top, right, bottom) != (0, 0, *size):
        picture.image = image.crop((left, top, right, bottom))
        del image
        picture.image = to_eight_bits(picture.image)
        picture.image = on_transparent_canvas(picture.image, size, (left, top))
    return picture
