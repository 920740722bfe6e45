"""Decode the first page of a TIFF that is no thumbnail of another page."""

import io

from PIL import TiffImagePlugin

from imgrelay_dagster.relay.errors import EntryFailure
from imgrelay_dagster.relay.imaging.formats.picture import Picture
from imgrelay_dagster.relay.imaging.formats.tiff_pages import picture_page, raw_name
from imgrelay_dagster.relay.imaging.layout import Size
from imgrelay_dagster.relay.outcomes import Reason

_WIDTH, _HEIGHT, _BITS, _ORIENTATION = 256, 257, 258, 274
MAX_BITS = 16
"""Bits a sample. Which levels of wider ones are black and white is not known: floats have no range of their own."""


def read_size(data: bytes) -> Size:
    """Return the size of the picture as stored, from its page's directory (TIFF 6.0, section 2).

    Raises EntryFailure: unsupported_format for a camera's raw file.
    """
    raw = raw_name(data)
    if raw is not None:
        raise EntryFailure(Reason.UNSUPPORTED_FORMAT, f"the body is {raw}; export it as a JPEG or TIFF")
    _, page = picture_page(data)
    return page.numbers.get(_WIDTH, 0), page.numbers.get(_HEIGHT, 0)


def decode(data: bytes, size: Size) -> Picture:
    """Decode the picture, of this size. Raises ValueError or OSError when it is broken."""
    file = _AsStored(io.BytesIO(data))
    file.seek(picture_page(data)[0])
    if (bits := max(file.tag_v2.get(_BITS, (1,)))) > MAX_BITS:
        raise ValueError(f"{bits} bits a sample are not supported, only 1 to {MAX_BITS}")
    width, height = file._tile_size  # of the pixels as stored, which loading allocates
    if (width, height) != size:
        raise ValueError(f"its header states {size[0]}x{size[1]} pixels, its decoder {width}x{height}")
    orientation = file.tag_v2.get(_ORIENTATION, 1)
    file.load()
    image = file._new(file.im)  # its size is that of its pixels
    return Picture(image, size, file.info.get("icc_profile"), orientation, exif=data)


class _AsStored(TiffImagePlugin.TiffImageFile):
    """Pillow turns a TIFF while its decoder still holds the largest strip, which may be the whole image."""

    def load_end(self) -> None:
        pass
