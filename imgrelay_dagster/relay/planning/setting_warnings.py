"""Settings that are valid but look like a mistake: said before anything is downloaded, and in the report."""

from imgrelay_dagster.relay.imaging.layout import Layout, Mode
from imgrelay_dagster.relay.imaging.output import Format, Output
from imgrelay_dagster.relay.imaging.template import Template


def template_warnings(template: Template, layout: Layout) -> tuple[str, ...]:
    """One sentence for each thing about the template that looks like a mistake."""
    lowest, highest = template.image.getchannel("A").getextrema()
    if highest == 0:
        return (f"template {template.name!r} is completely transparent: it changes no image",)
    if lowest == 255 and layout.mode is Mode.FRAME and layout.opacity == 1:
        return (
            f"template {template.name!r} has no transparent pixel and covers the whole image: nothing of the images "
            "will be seen; use a template with transparency, or layout: {mode: watermark}",
        )
    return ()


def output_warnings(output: Output) -> tuple[str, ...]:
    """One sentence for each thing about the output that looks like a mistake."""
    if output.format is Format.SOURCE and output.max_output_bytes is not None:
        return (
            "output.max_output_bytes lowers no quality of PNG images, which are lossless: with output.format: source, "
            "those of PNG sources fail as output_too_large if they are larger",
        )
    return ()
