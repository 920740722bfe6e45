"""The settings and the software versions of a run, as shown at the end of the report."""

import platform
from dataclasses import asdict
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from PIL import features

from imgrelay_dagster.relay import formatting
from imgrelay_dagster.relay.imaging.layout import Canvas, Mode
from imgrelay_dagster.relay.imaging.output import Format
from imgrelay_dagster.relay.imaging.size_limits import SizeLimits
from imgrelay_dagster.relay.redact import redact, redact_text
from imgrelay_dagster.relay.settings import Settings

Facts = tuple[tuple[str, str], ...]


def settings_facts(settings: Settings) -> Facts:
    """Return the settings as names and texts, without settings that had no effect and without secrets."""
    limits, output = settings.limits, settings.output
    facts = {
        "template": settings.template,
        "layout": _layout(settings),
        "output": _output(settings),
        "destination": redact_text(settings.destination),
        "timeouts": f"connect {limits.connect_timeout:g} s, read {limits.read_timeout:g} s, "
        f"whole download {limits.deadline:g} s",
        "attempts": f"{limits.attempts}, first pause up to {limits.backoff:g} s",
        "largest image": f"{formatting.size(limits.max_bytes)}, {settings.max_pixels / 1e6:g} megapixels",
        "redirects": str(limits.max_redirects),
        "concurrency": f"{settings.max_concurrent} steps; {limits.threads} downloads in each, "
        f"at most {limits.per_host} per host",
        "tolerated failures": f"{settings.tolerated_failure_percentage:g} %",
    }
    if output.format is not Format.PNG:
        facts["background"] = output.background
    if settings.urls_per_task is not None:
        facts["urls_per_task"] = formatting.count(settings.urls_per_task)
    if limits.proxy is not None:
        facts["proxy"] = redact(limits.proxy)
    if settings.recheck is not None:
        facts["recheck"] = f"what was downloaded more than {settings.recheck:g} days ago"
    switches = [name for name in ("refresh", "retry_permanent", "verify", "keep_originals") if getattr(settings, name)]
    if switches:
        facts["enabled"] = ", ".join(switches)
    if settings.adjusted:
        facts["adjusted while it ran"] = settings.adjusted
    return tuple(facts.items())


def _layout(settings: Settings) -> str:
    layout = settings.layout
    opacity = "" if layout.opacity == 1 else f", opacity {layout.opacity:g}"
    limits = _size_limits(layout.limits)
    if layout.mode is Mode.WATERMARK:
        return (
            f"watermark, {layout.anchor.replace('_', ' ')}, scale {layout.scale:g}, margin {layout.margin:g}"
            f"{opacity}{limits}"
        )
    if layout.canvas is Canvas.TEMPLATE:
        return f"frame on a canvas of the template's size, fit {layout.fit}{opacity}{limits}"
    return f"frame over the whole image{opacity}{limits}"


def _size_limits(limits: SizeLimits) -> str:
    """The limits that are set, to follow other facts."""
    pixels = {name.replace("_", " "): value for name, value in asdict(limits).items() if name != "enlarge"}
    words = [f", {name} {value}" for name, value in pixels.items() if value is not None]
    return "".join([*words, ", enlarged" if limits.enlarge else ""])


def _output(settings: Settings) -> str:
    output = settings.output
    if output.format is Format.PNG:
        return f"png, compress level {output.png_compress_level}"
    limit = output.max_output_bytes
    within = "" if limit is None else f", at most {limit:,} bytes, down to quality {output.min_quality}"
    return f"{output.format}, quality {output.quality}{within}"


@cache
def versions_facts() -> Facts:
    """Return the versions of imgrelay, Python and the libraries that decide the pixels."""
    packages = [(name, _package(distribution)) for name, distribution in _PACKAGES]
    libraries = [(name, features.version(feature)) for name, feature in _LIBRARIES]
    python = ("Python", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    return tuple((name, found) for name, found in (*packages, python, *libraries) if found)


_PACKAGES = (
    ("imgrelay", "imgrelay-dagster"),
    ("Dagster", "dagster"),
    ("Pillow", "pillow"),
    ("obstore", "obstore"),
    ("urllib3", "urllib3"),
)
_LIBRARIES = (
    ("libjpeg-turbo", "libjpeg_turbo"),
    ("libwebp", "webp"),
    ("libavif", "avif"),
    ("LittleCMS", "littlecms2"),
    ("zlib-ng", "zlib_ng"),
)


def _package(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None
