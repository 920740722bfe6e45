"""What the report says about a run as a whole: where it comes from, and what looks like a mistake."""

from datetime import datetime
from zoneinfo import ZoneInfo

from imgrelay_dagster.relay import formatting
from imgrelay_dagster.relay.html_report.statistics import RunStatistics
from imgrelay_dagster.relay.imaging.layout import Canvas, Mode
from imgrelay_dagster.relay.records.summary import Summary
from imgrelay_dagster.relay.redact import redact_text
from imgrelay_dagster.relay.settings import Settings


def stretched_template(settings: Settings) -> tuple[int, int] | None:
    """The size of a template that is stretched over each image; None for other layouts."""
    layout = settings.layout
    return settings.origin.template_size if layout.mode is Mode.FRAME and layout.canvas is Canvas.IMAGE else None


def warnings(summary: Summary, settings: Settings, statistics: RunStatistics) -> tuple[str, ...]:
    """One sentence for each thing that looks like a mistake."""
    found = list(settings.origin.warnings)
    stored = summary.uploaded + summary.unchanged
    if not summary.entries:
        found.append("The list is empty: it has no line with a URL.")
    elif not stored:
        found.append("No image is stored.")
    if statistics.stretched:
        found.append(
            f"The template was stretched by more than 2 % for {formatting.count(statistics.stretched)} of "
            f"{formatting.count(stored)} images, whose aspect ratio is another; `canvas: template` keeps its shape."
        )
    return tuple(found)


def origin_facts(summary: Summary, settings: Settings, now: float) -> tuple[tuple[str, str], ...]:
    """Manifest, profile, launcher, start and end, as names and texts. `now` is in seconds since the epoch."""
    origin = settings.origin
    facts = {
        "manifest": redact_text(origin.manifest) if origin.manifest else None,
        "profile": origin.profile,
        "launched by": origin.launched_by,
        "started": local_time(now - summary.seconds, origin.time_zone, seconds=True),
        "ended": local_time(now, origin.time_zone, seconds=True),
    }
    return tuple((name, text) for name, text in facts.items() if text)


def local_time(at: float, zone: str, *, seconds: bool = False) -> str:
    """A time, given in seconds since the epoch, as people of a time zone write it."""
    local = datetime.fromtimestamp(at, ZoneInfo(zone))
    return f"{local:%Y-%m-%d %H:%M:%S %Z}" if seconds else f"{local:%Y-%m-%d %H:%M %Z}"
