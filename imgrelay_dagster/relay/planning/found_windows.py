"""Tells which windows `layout.window: auto` finds, once for each template of a run."""

from collections.abc import Callable

from imgrelay_dagster.relay.imaging.layout import Canvas, Layout, Mode
from imgrelay_dagster.relay.imaging.template import Template
from imgrelay_dagster.relay.imaging.window import AUTO


class FoundWindows:
    """Notes the templates of a run.

    Args:
        note: called with a sentence about each window that was found.
        warn: called with a sentence about each template without a hole.
    """

    def __init__(self, layout: Layout, note: Callable[[str], None], warn: Callable[[str], None]) -> None:
        self._is_used = layout.mode is Mode.FRAME and layout.canvas is Canvas.TEMPLATE and layout.window == AUTO
        self._note, self._warn = note, warn
        self._seen: set[str] = set()

    def note(self, template: Template) -> None:
        """Tell the window of a template, if it is looked for and was not told yet."""
        if not self._is_used or template.name in self._seen:
            return
        self._seen.add(template.name)
        left, top, right, bottom = template.hole
        if (left, top, right, bottom) == (0, 0, *template.size):
            self._warn(
                f"template {template.name!r}: window auto found no hole smaller than the template, so images are "
                "fitted to all of it; set layout.window"
            )
            return
        self._note(
            f"template {template.name!r}: window auto is {{x: {left}, y: {top}, width: {right - left}, "
            f"height: {bottom - top}}} of {template.size[0]}x{template.size[1]} pixels"
        )
