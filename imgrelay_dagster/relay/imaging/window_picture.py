"""A picture of a template and its window, for people."""

from PIL import Image, ImageDraw

from imgrelay_dagster.relay.imaging.window import PixelBox

_SQUARE = 16  # pixels of a square of the board that is seen through transparent pixels
_LIGHT, _DARK = b"\xff", b"\xcc"
_LINE = "#e6007a"


def draw_window(template: Image.Image, window: PixelBox) -> Image.Image:
    """Return an RGBA template in RGB, over a chequered board, with a line inside the edge of its window."""
    picture = _board(template.size)
    picture.paste(template, (0, 0), template)
    left, top, right, bottom = window
    width = max(2, min(template.size) // 150)
    ImageDraw.Draw(picture).rectangle((left, top, right - 1, bottom - 1), outline=_LINE, width=width)
    return picture


def _board(size: tuple[int, int]) -> Image.Image:
    columns, rows = (side // _SQUARE + 1 for side in size)
    even, odd = ((first + second) * columns for first, second in ((_LIGHT, _DARK), (_DARK, _LIGHT)))
    squares = b"".join((odd if row % 2 else even)[:columns] for row in range(rows))
    board = Image.frombytes("L", (columns, rows), squares)
    return (
        board.resize((columns * _SQUARE, rows * _SQUARE), Image.Resampling.NEAREST).crop((0, 0, *size)).convert("RGB")
    )
