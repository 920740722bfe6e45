"""Draws the pictures of docs/layouts.md: the result of each layout, composed by the engine."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from io import BytesIO

from PIL import Image, ImageDraw, ImageFont

from imgrelay_dagster.demo.pictures import picture
from imgrelay_dagster.relay.imaging.compose import Output, compose
from imgrelay_dagster.relay.imaging.layout import Anchor, Canvas, Fit, Layout, Mode
from imgrelay_dagster.relay.imaging.template_folder import TemplateFolder

CELL, GAP, CAPTION = (280, 214), 22, 30
PAPER, INK, EDGE = "#f4f5f7", "#1c2430", "#c9d0d8"
TALL, WIDE, LANDSCAPE = "png/sunburst.png", "jpeg/panorama.jpg", "jpeg/sunset.jpg"


@dataclass(frozen=True)
class Example:
    """One picture of a sheet and its caption. Without a layout it shows the source image."""

    name: str
    caption: str
    layout: Layout | None = None
    template: str = "frame.png"
    output: Output = field(default_factory=lambda: Output(quality=95))


def frames() -> list[list[Example]]:
    """Return both canvases and every fit, for a tall and a wide image."""
    rows = []
    for name in (TALL, WIDE):
        on_template = [
            Example(name, f"canvas: template, fit: {fit}", Layout(canvas=Canvas.TEMPLATE, fit=fit)) for fit in Fit
        ]
        rows.append([Example(name, "the image"), Example(name, "canvas: image", Layout()), *on_template])
    return rows


def watermarks() -> list[list[Example]]:
    """Return examples of anchors, scales, margin and opacity."""

    def mark(caption: str, **options: object) -> Example:
        return Example(LANDSCAPE, caption, Layout(mode=Mode.WATERMARK, **options), "badge.png")  # type: ignore[arg-type]

    return [
        [
            mark("anchor: south_east, scale: 0.25"),
            mark("anchor: north_west", anchor=Anchor.NORTH_WEST),
            mark("anchor: center, scale: 0.5", anchor=Anchor.CENTER, scale=0.5),
            mark("margin: 0.1", margin=0.1),
            mark("opacity: 0.4, scale: 0.4", opacity=0.4, scale=0.4),
        ]
    ]


def sheet(rows: Sequence[Sequence[Example]]) -> Image.Image:
    """Draw the pictures in rows on one sheet, each with its own aspect ratio in a cell of the same size."""
    columns = max(map(len, rows))
    height = CELL[1] + CAPTION
    canvas = Image.new("RGB", (columns * (CELL[0] + GAP) + GAP, len(rows) * (height + GAP) + GAP), PAPER)
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(15)
    for y, row in enumerate(rows):
        for x, example in enumerate(row):
            image = _render(example)
            left, top = GAP + x * (CELL[0] + GAP), GAP + y * (height + GAP)
            position = (left + (CELL[0] - image.width) // 2, top + (CELL[1] - image.height) // 2)
            canvas.paste(image, position)
            box = (position[0] - 1, position[1] - 1, position[0] + image.width, position[1] + image.height)
            draw.rectangle(box, outline=EDGE)
            draw.text((left + CELL[0] / 2, top + CELL[1] + CAPTION / 2 + 4), example.caption, INK, font, "mm")
    return canvas


def _render(example: Example) -> Image.Image:
    data = picture(example.name).data
    if example.layout is not None:
        template = TemplateFolder.shipped().load(example.template)
        data = compose(data, template, example.layout, example.output, max_pixels=50_000_000).data
    image = Image.open(BytesIO(data)).convert("RGB")
    image.thumbnail(CELL, Image.Resampling.LANCZOS)
    return image
