"""The pictures of docs/layouts.md: what each way to lay a template over an image makes, by the engine itself."""

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
TALL, WIDE, USUAL = "png/sunburst.png", "jpeg/panorama.jpg", "jpeg/sunset.jpg"


@dataclass(frozen=True)
class Shown:
    """One picture of a sheet: what is composed, and the words beneath it. Without a layout it is the source."""

    name: str
    words: str
    layout: Layout | None = None
    template: str = "frame.png"
    output: Output = field(default_factory=lambda: Output(quality=95))


def frames() -> list[list[Shown]]:
    """Both canvases, and every fit, for a tall and a wide image."""
    rows = []
    for name in (TALL, WIDE):
        on_template = [
            Shown(name, f"canvas: template, fit: {fit}", Layout(canvas=Canvas.TEMPLATE, fit=fit)) for fit in Fit
        ]
        rows.append([Shown(name, "the image"), Shown(name, "canvas: image", Layout()), *on_template])
    return rows


def watermarks() -> list[list[Shown]]:
    """Anchors, scales and opacity."""

    def mark(words: str, **options: object) -> Shown:
        return Shown(USUAL, words, Layout(mode=Mode.WATERMARK, **options), "badge.png")  # type: ignore[arg-type]

    return [
        [
            mark("anchor: south_east, scale: 0.25"),
            mark("anchor: north_west", anchor=Anchor.NORTH_WEST),
            mark("anchor: center, scale: 0.5", anchor=Anchor.CENTER, scale=0.5),
            mark("margin: 0.1", margin=0.1),
            mark("opacity: 0.4, scale: 0.4", opacity=0.4, scale=0.4),
        ]
    ]


def sheet(rows: Sequence[Sequence[Shown]]) -> Image.Image:
    """The pictures in rows, each at its own shape within its cell, on paper."""
    columns = max(map(len, rows))
    height = CELL[1] + CAPTION
    canvas = Image.new("RGB", (columns * (CELL[0] + GAP) + GAP, len(rows) * (height + GAP) + GAP), PAPER)
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(15)
    for y, row in enumerate(rows):
        for x, shown in enumerate(row):
            image = _made(shown)
            left, top = GAP + x * (CELL[0] + GAP), GAP + y * (height + GAP)
            place = (left + (CELL[0] - image.width) // 2, top + (CELL[1] - image.height) // 2)
            canvas.paste(image, place)
            box = (place[0] - 1, place[1] - 1, place[0] + image.width, place[1] + image.height)
            draw.rectangle(box, outline=EDGE)
            draw.text((left + CELL[0] / 2, top + CELL[1] + CAPTION / 2 + 4), shown.words, INK, font, "mm")
    return canvas


def _made(shown: Shown) -> Image.Image:
    data = picture(shown.name).data
    if shown.layout is not None:
        template = TemplateFolder.shipped().load(shown.template)
        data = compose(data, template, shown.layout, shown.output, max_pixels=50_000_000).data
    image = Image.open(BytesIO(data)).convert("RGB")
    image.thumbnail(CELL, Image.Resampling.LANCZOS)
    return image
