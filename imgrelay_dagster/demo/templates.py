"""Draws the templates shipped with the package: `python -m imgrelay_dagster.demo.templates` writes the files."""

from pathlib import Path

from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont

FOLDER = Path(__file__).parent.parent / "templates"
PAPER, INK, GOLD = (250, 248, 243, 255), (28, 36, 48, 255), (198, 160, 92, 255)
_OVERSAMPLING = 3


def frame(size: tuple[int, int] = (1200, 900)) -> Image.Image:
    """Draw a paper frame with a transparent rounded opening, a thin gold line and a name label; RGBA."""
    wide, high = size[0] * _OVERSAMPLING, size[1] * _OVERSAMPLING
    unit = min(wide, high) / 900
    opening = (34 * unit, 34 * unit, wide - 34 * unit, high - 34 * unit)
    hole = _rounded((wide, high), opening, 40 * unit)
    canvas = Image.new("RGBA", (wide, high), PAPER)
    canvas.putalpha(ImageChops.invert(hole))
    shade = hole.reduce(_OVERSAMPLING).filter(ImageFilter.GaussianBlur(7)).resize((wide, high))
    inner = Image.new("RGBA", (wide, high), (*INK[:3], 0))
    inner.putalpha(ImageChops.multiply(ImageChops.invert(shade).point([v * 2 // 3 for v in range(256)]), hole))
    canvas.alpha_composite(inner)
    draw = ImageDraw.Draw(canvas)
    outer = (20 * unit, 20 * unit, wide - 20 * unit, high - 20 * unit)
    draw.rounded_rectangle(outer, 52 * unit, outline=GOLD, width=round(2.5 * unit))
    _draw_label(canvas, draw, unit)
    return canvas.reduce(_OVERSAMPLING)


def badge(size: tuple[int, int] = (400, 160)) -> Image.Image:
    """Draw a watermark: a picture symbol and the name on a dark, translucent plate; RGBA."""
    wide, high = size[0] * _OVERSAMPLING, size[1] * _OVERSAMPLING
    unit = high / 160
    canvas = Image.new("RGBA", (wide, high), (*INK[:3], 0))
    draw = ImageDraw.Draw(canvas)
    box = (4 * unit, 4 * unit, wide - 4 * unit, high - 4 * unit)
    draw.rounded_rectangle(box, 36 * unit, fill=(*INK[:3], 185), outline=(255, 255, 255, 150), width=round(3 * unit))
    _draw_symbol(draw, 32 * unit, 40 * unit, 80 * unit, "white")
    font = ImageFont.load_default(round(56 * unit))
    draw.text((136 * unit, high / 2 - 2 * unit), "imgrelay", font=font, fill="white", anchor="lm")
    return canvas.reduce(_OVERSAMPLING)


def write(folder: Path = FOLDER) -> list[Path]:
    """Write `frame.png` and `badge.png` into `folder` and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, picture in (("frame.png", frame()), ("badge.png", badge())):
        path = folder / name
        picture.save(path, optimize=True)
        written.append(path)
    return written


def _draw_label(canvas: Image.Image, draw: ImageDraw.ImageDraw, unit: float) -> None:
    right, bottom = canvas.width - 30 * unit, canvas.height - 30 * unit
    box = (right - 222 * unit, bottom - 62 * unit, right + 60 * unit, bottom + 60 * unit)
    plate = _rounded(canvas.size, box, 30 * unit)
    edge = (20 * unit, 20 * unit, canvas.width - 20 * unit, canvas.height - 20 * unit)
    plate = ImageChops.multiply(plate, _rounded(canvas.size, edge, 52 * unit))
    canvas.paste(PAPER, mask=plate)
    draw.rounded_rectangle(edge, 52 * unit, outline=GOLD, width=round(2.5 * unit))
    _draw_symbol(draw, right - 198 * unit, bottom - 44 * unit, 36 * unit, GOLD)
    font = ImageFont.load_default(round(32 * unit))
    draw.text((right - 150 * unit, bottom - 27 * unit), "imgrelay", font=font, fill=INK, anchor="lm")


def _draw_symbol(draw: ImageDraw.ImageDraw, x: float, y: float, side: float, colour: str | tuple[int, ...]) -> None:
    line = max(2, round(side / 14))
    draw.rounded_rectangle((x, y, x + side, y + side), side / 5, outline=colour, width=line)
    hills = [(0.16, 0.78), (0.40, 0.42), (0.55, 0.62), (0.66, 0.5), (0.84, 0.78)]
    draw.polygon([(x + side * a, y + side * b) for a, b in hills], fill=colour)
    draw.ellipse((x + side * 0.62, y + side * 0.2, x + side * 0.79, y + side * 0.37), fill=colour)


def _rounded(size: tuple[int, int], box: tuple[float, float, float, float], radius: float) -> Image.Image:
    mask = Image.new("L", size)
    ImageDraw.Draw(mask).rounded_rectangle(box, radius, fill=255)
    return mask


if __name__ == "__main__":
    for path in write():
        print(f"{path} ({path.stat().st_size} bytes)")
