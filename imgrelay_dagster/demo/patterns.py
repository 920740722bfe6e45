"""Draws geometric patterns from a seed. The same seed and size give the same pixels."""

import math
from collections.abc import Callable
from random import Random

from PIL import Image, ImageDraw, ImageFilter

from imgrelay_dagster.demo.scenes import Size, blend, gradient

PALETTES = (
    ("#0b3954", "#087e8b", "#bfd7ea", "#ff5a5f", "#ffd166"),
    ("#264653", "#2a9d8f", "#e9c46a", "#f4a261", "#e76f51"),
    ("#2b2d42", "#5f6caf", "#edf2f4", "#ef476f", "#ffc43d"),
    ("#1d3557", "#457b9d", "#a8dadc", "#f1faee", "#e63946"),
    ("#3c1642", "#086375", "#1dd3b0", "#affc41", "#f7fff6"),
)


def pattern(size: Size, seed: int, kind: str) -> Image.Image:
    """Draw one of `PATTERNS` in a palette chosen by `seed`, at twice the size, then reduce it; RGB."""
    width, height = size
    random = Random(seed)
    colours = PALETTES[seed % len(PALETTES)]
    canvas = Image.new("RGB", (width * 2, height * 2), colours[0])
    PATTERNS[kind](canvas, colours, random)
    return canvas.reduce(2)


def _rings(canvas: Image.Image, colours: tuple[str, ...], random: Random) -> None:
    draw, step = ImageDraw.Draw(canvas), min(canvas.size) / 14
    x, y = random.uniform(0.25, 0.75) * canvas.width, random.uniform(0.3, 0.7) * canvas.height
    for ring in range(int(math.hypot(*canvas.size) / step), 0, -1):
        radius = ring * step
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colours[ring % len(colours)])


def _sunburst(canvas: Image.Image, colours: tuple[str, ...], random: Random) -> None:
    draw, reach, rays = ImageDraw.Draw(canvas), math.hypot(*canvas.size), 32
    x, y = random.uniform(0.3, 0.7) * canvas.width, canvas.height * 0.78
    for ray in range(rays):
        box = (x - reach, y - reach, x + reach, y + reach)
        draw.pieslice(box, ray * 360 / rays, (ray + 1) * 360 / rays, fill=colours[1 + ray % 2])
    for radius, colour in ((0.24, colours[4]), (0.19, colours[3])):
        r = radius * min(canvas.size)
        draw.ellipse((x - r, y - r, x + r, y + r), fill=colour)


def _triangles(canvas: Image.Image, colours: tuple[str, ...], random: Random) -> None:
    draw, side = ImageDraw.Draw(canvas), min(canvas.size) / 7
    for row in range(int(canvas.height / side) + 1):
        for column in range(-1, int(canvas.width / side * 2) + 2):
            x, y, flip = column * side / 2, row * side, (row + column) % 2
            points = [
                (x, y + side * flip),
                (x + side, y + side * flip),
                (x + side / 2, y + side * (1 - flip)),
            ]
            share = column * side / 2 / canvas.width * 0.6 + random.random() * 0.4
            draw.polygon(points, fill=_ramp(colours, share))


def _hexagons(canvas: Image.Image, colours: tuple[str, ...], random: Random) -> None:
    draw, side = ImageDraw.Draw(canvas), min(canvas.size) / 13
    for row in range(int(canvas.height / side / 1.5) + 2):
        for column in range(int(canvas.width / side / math.sqrt(3)) + 2):
            x, y = (column + row % 2 / 2) * side * math.sqrt(3), row * side * 1.5
            share = (y / canvas.height) * 0.7 + random.random() * 0.3
            draw.regular_polygon((x, y, side * 0.94), 6, rotation=30, fill=_ramp(colours, share))


def _waves(canvas: Image.Image, colours: tuple[str, ...], random: Random) -> None:
    draw, bands = ImageDraw.Draw(canvas), 13
    width, height = canvas.size
    turns, phase = random.uniform(1.2, 2.2), random.random() * math.tau
    for band in range(bands):
        base, swing = height * (band - 0.5) / (bands - 2), height * 0.045
        xs = range(0, width + 8, 8)
        top = [(x, base + swing * math.sin(x / width * turns * math.tau + phase + band * 0.7)) for x in xs]
        draw.polygon([*top, (width, height), (0, height)], fill=_ramp(colours, band / (bands - 1)))


def _arcs(canvas: Image.Image, colours: tuple[str, ...], random: Random) -> None:
    draw, side = ImageDraw.Draw(canvas), min(canvas.size) / 6
    for row in range(int(canvas.height / side) + 1):
        for column in range(int(canvas.width / side) + 1):
            x, y = column * side, row * side
            draw.rectangle((x, y, x + side, y + side), fill=random.choice(colours[:3]))
            cx, cy = x + side * random.randint(0, 1), y + side * random.randint(0, 1)
            start = {(0, 0): 0, (1, 0): 90, (1, 1): 180, (0, 1): 270}[int(cx > x), int(cy > y)]
            for share, colour in ((1.0, random.choice(colours[3:])), (0.66, colours[0]), (0.33, colours[2])):
                r = side * share
                draw.pieslice((cx - r, cy - r, cx + r, cy + r), start, start + 90, fill=colour)


def _lights(canvas: Image.Image, colours: tuple[str, ...], random: Random) -> None:
    canvas.paste(gradient(canvas.size, ("#0a0a1a", blend(colours[0], "#0a0a1a", 0.4), colours[1])))
    for blur, count in ((0.012, 26), (0.002, 22)):
        mask, paint = Image.new("L", canvas.size), canvas.copy()
        for _ in range(count):
            r = random.uniform(0.02, 0.09) * min(canvas.size)
            x, y = random.random() * canvas.width, random.random() * canvas.height
            box = (x - r, y - r, x + r, y + r)
            ImageDraw.Draw(mask).ellipse(box, fill=random.randint(60, 150))
            ImageDraw.Draw(paint).ellipse((box[0] - 9, box[1] - 9, box[2] + 9, box[3] + 9), random.choice(colours[2:]))
        small = mask.reduce(4).filter(ImageFilter.GaussianBlur(blur * min(canvas.size) / 4))
        canvas.paste(paint, mask=small.resize(canvas.size))


def _ramp(colours: tuple[str, ...], share: float) -> str:
    place = min(max(share, 0), 0.999) * (len(colours) - 1)
    return blend(colours[int(place)], colours[int(place) + 1], place % 1)


PATTERNS: dict[str, Callable[[Image.Image, tuple[str, ...], Random], None]] = {
    "rings": _rings,
    "sunburst": _sunburst,
    "triangles": _triangles,
    "hexagons": _hexagons,
    "waves": _waves,
    "arcs": _arcs,
    "lights": _lights,
}
