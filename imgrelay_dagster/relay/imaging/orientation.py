"""Turn and mirror images and sizes by the EXIF orientation (EXIF 2.32, 4.6.4)."""

from PIL import Image

from imgrelay_dagster.relay.imaging.layout import Box, Size

_TRANSPOSITIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""Pillow's names count rotations counterclockwise."""

_SWAPS_SIDES = (5, 6, 7, 8)
_MIRRORS_X = (2, 3, 7, 8)
_MIRRORS_Y = (3, 4, 6, 7)


def upright(image: Image.Image, orientation: int) -> Image.Image:
    """Return the image turned upright; the same image when it is."""
    transposition = _TRANSPOSITIONS.get(orientation)
    return image if transposition is None else image.transpose(transposition)


def upright_size(size: Size, orientation: int) -> Size:
    """Return the upright size of a stored size. It also maps an upright size to the stored one."""
    return (size[1], size[0]) if orientation in _SWAPS_SIDES else size


def upright_extent(covered: tuple[float, float], stored: Size, orientation: int) -> Box:
    """Return the box that the picture covers in the upright pixels, given that it starts at the stored top left."""
    width, height = covered
    left = stored[0] - width if orientation in _MIRRORS_X else 0
    top = stored[1] - height if orientation in _MIRRORS_Y else 0
    if orientation in _SWAPS_SIDES:
        return top, left, top + height, left + width
    return left, top, left + width, top + height
