"""Draws scenes from a seed: landscapes under several skies. The same seed and size give the same pixels."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from PIL import Image, ImageChops, ImageColor, ImageDraw, ImageFilter, ImageFont

Size = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Mood:
    """The colours of a landscape: sky from top to horizon, light, and hills from far to near."""

    sky: Sequence[str]
    light: str
    far: str
    near: str
    water: bool = False
    stars: bool = False


MOODS = {
    "dawn": Mood(("#3d5a98", "#c98fb5", "#ffd9b0"), "#fff0c9", "#b58fb0", "#3b2f52"),
    "noon": Mood(("#2f7fd0", "#8cc8f2", "#e6f5fb"), "#fffbe0", "#9cc3cf", "#2f6b3f"),
    "sunset": Mood(("#3a1d5c", "#d1495b", "#ffb347"), "#fff1b8", "#a8476b", "#26112f", water=True),
    "night": Mood(("#050b24", "#15295a", "#3d5c94"), "#f4f6ff", "#2f4877", "#060d1f", stars=True),
    "autumn": Mood(("#6d9dc5", "#c9dbe3", "#fbe7c6"), "#fff6d6", "#d9a066", "#7a2e1a"),
    "arctic": Mood(("#16355c", "#4fa3b8", "#d4f4ee"), "#ffffff", "#bfe0e8", "#33688a", water=True),
    "desert": Mood(("#3f8fc4", "#a9d3dc", "#fbe3b8"), "#fffbe6", "#eebd7e", "#a8512c"),
    "harbour": Mood(("#1b3f66", "#6fa3b8", "#f5d7a8"), "#fff4cf", "#6f93a3", "#1c3a4a", water=True),
}


def landscape(size: Size, seed: int, mood: str) -> Image.Image:
    """Draw hills under the sky of `mood`, with sun or moon, clouds and, in some moods, the sea; RGB."""
    width, height = size
    colours, random = MOODS[mood], Random(seed)
    picture = gradient(size, colours.sky)
    if colours.stars:
        _draw_stars(picture, random)
    horizon = random.uniform(0.56, 0.66)
    sun_x, sun_y = random.uniform(0.2, 0.8) * width, random.uniform(0.2, 0.4) * height
    if colours.water:
        sun_y = (horizon - 0.11) * height
    _draw_sun(picture, (sun_x, sun_y), min(size) * random.uniform(0.055, 0.08), colours.light)
    clouds = noise(size, seed, 6).point([max(0, v - 128) * 2 for v in range(256)])
    fading = gradient(size, ("#aaa", "#000")).convert("L")
    picture.paste(colours.light, mask=ImageChops.multiply(clouds, fading))
    rises = (0.0, 0.005, None, 0.33) if colours.water else (0.0, 0.09, 0.18, 0.27)
    for layer, rise in enumerate(rises):
        if rise is None:
            _draw_sea(picture, horizon, sun_x, colours, random)
            continue
        top = ridge(width, (horizon + rise) * height, height * (0.10 - 0.015 * layer), random)
        fill = blend(colours.far, colours.near, layer / 3)
        picture.paste(gradient(size, (blend(fill, colours.light, 0.18), fill)), mask=below(size, top))
    return picture


def gradient(size: Size, stops: Sequence[str]) -> Image.Image:
    """Draw a vertical gradient of evenly spaced colours; RGB."""
    column = Image.new("RGB", (1, len(stops)))
    column.putdata([ImageColor.getrgb(stop)[:3] for stop in stops])
    box = (0, 0.5, 1, len(stops) - 0.5)
    return column.resize((1, size[1]), Image.Resampling.BILINEAR, box).resize(size, Image.Resampling.NEAREST)


def noise(size: Size, seed: int, grain: int) -> Image.Image:
    """Draw soft grey clouds: four octaves of random squares, the coarsest `grain` squares wide; L."""
    random, cloud = Random(seed), Image.new("L", size, 128)
    for octave in range(4):
        columns = grain << octave
        rows = max(2, columns * 2 * size[1] // size[0])
        squares = Image.frombytes("L", (columns, rows), random.randbytes(columns * rows))
        cloud = Image.blend(cloud, squares.resize(size, Image.Resampling.BICUBIC), (0.7, 0.35, 0.2, 0.12)[octave])
    return cloud


def ridge(width: int, base: float, swing: float, random: Random) -> list[float]:
    """Return the heights of a hilly skyline: `width` + 1 values of y, in pixels."""
    waves = [(2**n * random.uniform(0.7, 1.3), random.uniform(0, math.tau), 0.55**n) for n in range(6)]
    columns = [x / width * math.tau for x in range(width + 1)]
    return [base - swing * sum(a * math.sin(f * x + p) for f, p, a in waves) for x in columns]


def below(size: Size, top: Sequence[float]) -> Image.Image:
    """Draw a mask of the area below the skyline `top`, with smooth edges; L."""
    width, height = size
    mask = Image.new("L", (width, height * 4))
    outline = [(x, y * 4) for x, y in enumerate(top)]
    ImageDraw.Draw(mask).polygon([(0, height * 4), *outline, (width, height * 4)], fill=255)
    return mask.resize(size, Image.Resampling.BOX)


def blend(first: str, second: str, share: float) -> str:
    """Return the colour at `share` (0..1) of the way from `first` to `second`."""
    pairs = zip(ImageColor.getrgb(first)[:3], ImageColor.getrgb(second)[:3], strict=True)
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in pairs)


def label(picture: Image.Image, text: str) -> None:
    """Write `text` on a dark label in the lower left corner, in place."""
    unit = max(12, min(picture.size) // 16)
    font = ImageFont.load_default(unit)
    left, top, right, bottom = font.getbbox(text)
    wide, high = right - left + unit, bottom - top + unit * 0.7
    x, y = unit * 1.6, picture.height - unit * 1.6 - high
    mask = Image.new("L", picture.size)
    ImageDraw.Draw(mask).rounded_rectangle((x, y, x + wide, y + high), high / 2, fill=150)
    picture.paste("#101820", mask=mask)
    draw = ImageDraw.Draw(picture)
    draw.text((x + wide / 2, y + high / 2), text, fill="white", font=font, anchor="mm")


def _draw_sun(picture: Image.Image, centre: tuple[float, float], radius: float, colour: str) -> None:
    x, y = centre
    for reach, strength in ((7.0, 0.55), (2.2, 0.5)):
        side = int(radius * reach * 2)
        glow = Image.radial_gradient("L").resize((side, side))
        glow = glow.point([round(max(0, 180 - v) ** 2 / 180**2 * 255 * strength) for v in range(256)])
        picture.paste(colour, (int(x - side / 2), int(y - side / 2)), glow)
    side = int(radius * 2)
    disc = Image.new("L", (side * 4, side * 4))
    ImageDraw.Draw(disc).ellipse((0, 0, side * 4 - 1, side * 4 - 1), fill=255)
    picture.paste(colour, (int(x - radius), int(y - radius)), disc.resize((side, side), Image.Resampling.BOX))


def _draw_stars(picture: Image.Image, random: Random) -> None:
    draw, scale = ImageDraw.Draw(picture), min(picture.size) / 600
    for _ in range(150):
        x, y = random.random() * picture.width, random.random() ** 1.5 * picture.height * 0.6
        radius, light = random.uniform(0.3, 1.3) * scale, random.randint(120, 255)
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=(light, light, 255))


def _draw_sea(picture: Image.Image, horizon: float, sun_x: float, colours: Mood, random: Random) -> None:
    width, height = picture.size
    line = round(horizon * height)
    mirror = picture.crop((0, max(0, 2 * line - height), width, line)).transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    sea = mirror.resize((width, height - line)).filter(ImageFilter.GaussianBlur(width / 200))
    picture.paste(Image.blend(sea, gradient(sea.size, (colours.sky[1], colours.near)), 0.5), (0, line))
    mask = Image.new("L", picture.size)
    draw = ImageDraw.Draw(mask)
    for _ in range(240):
        depth = random.random() ** 1.4
        y = line + depth * (height - line)
        x = sun_x + random.gauss(0, 0.025 + 0.09 * depth) * width
        half = width * (0.006 + 0.03 * depth) * random.random()
        thick = max(1, round(height * 0.004 * (0.3 + depth)))
        draw.line((x - half, y, x + half, y), fill=random.randint(50, 190), width=thick)
    picture.paste(colours.light, mask=mask.filter(ImageFilter.GaussianBlur(height / 900)))
