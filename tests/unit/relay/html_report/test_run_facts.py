"""The settings that the report shows."""

import pytest

from imgrelay_dagster.relay.html_report.run_facts import settings_facts
from imgrelay_dagster.relay.imaging.layout import Canvas, Layout, Mode
from imgrelay_dagster.relay.imaging.size_limits import SizeLimits
from imgrelay_dagster.relay.settings import Settings


@pytest.mark.parametrize(
    ("layout", "expected"),
    [
        (Layout(), "frame over the whole image"),
        (
            Layout(limits=SizeLimits(max_width=80, max_height=70, enlarge=True)),
            "frame over the whole image, max width 80, max height 70, enlarged",
        ),
        (
            Layout(canvas=Canvas.TEMPLATE, limits=SizeLimits(min_width=5)),
            "frame on a canvas of the template's size, fit cover, min width 5",
        ),
        (
            Layout(Mode.WATERMARK, opacity=0.5, limits=SizeLimits(min_height=5)),
            "watermark, south east, scale 0.25, margin 0.02, opacity 0.5, min height 5",
        ),
    ],
)
def test_layout_is_told_in_words_with_its_size_limits(layout: Layout, expected: str) -> None:
    assert dict(settings_facts(Settings("d", "/d", layout=layout)))["layout"] == expected
