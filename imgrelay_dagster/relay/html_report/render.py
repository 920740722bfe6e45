"""Render `report.html` and store it. A rendering failure never fails the run."""

import base64
import hashlib
import logging
import time
from datetime import datetime
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup
from obstore.store import ObjectStore

from imgrelay_dagster.relay import formatting
from imgrelay_dagster.relay.html_report.contact_sheet import read_thumbnails
from imgrelay_dagster.relay.html_report.statistics import RunStatistics, StoredImage
from imgrelay_dagster.relay.html_report.view_model import ReportPage
from imgrelay_dagster.relay.html_report.view_model_builder import build_view_model
from imgrelay_dagster.relay.records.layout import REPORT_FILE, report_key
from imgrelay_dagster.relay.records.summary import Summary
from imgrelay_dagster.relay.redact import printable
from imgrelay_dagster.relay.settings import Settings
from imgrelay_dagster.relay.storage.error_text import explain
from imgrelay_dagster.relay.storage.objects import put_object

_HERE = Path(__file__).parent

_log = logging.getLogger(__name__)


def write_html_report(store: ObjectStore, summary: Summary, settings: Settings, statistics: RunStatistics) -> bool:
    """Store the report next to the run's results; return whether that succeeded. Never raises an `Exception`."""
    try:
        thumbnails = read_thumbnails(store, statistics.stored_sample)
        shared = [StoredImage(each.line, each.key, 0, 0) for each in statistics.sources.most_shared()]
        ended = datetime.fromisoformat(summary.ended_at).timestamp() if summary.ended_at else time.time()
        page = build_view_model(summary, settings, statistics, thumbnails, read_thumbnails(store, shared), now=ended)
        key = report_key(summary.dataset, summary.run_id)
        put_object(store, key, render(page).encode(), "text/html; charset=utf-8")
    except Exception as error:  # noqa: BLE001 - the results are complete without it
        _log.warning("could not write report.html of run %s: %s", summary.run_id, explain(error))
        return False
    return True


def render(page: ReportPage) -> str:
    """Render the page as HTML. All text is sanitized and escaped.

    Its security policy forbids requests, and every script but its own, which searches the table of failures.
    """
    return report_template().render(page=page, script=_SCRIPT, script_hash=_SCRIPT_HASH)


_SCRIPT = Markup((_HERE / "search.js").read_text(encoding="utf-8"))  # nosec B704 - our own file
"""Hides the rows of the table of failures that do not contain what is typed."""

_SCRIPT_HASH = Markup("sha256-" + base64.b64encode(hashlib.sha256(_SCRIPT.encode()).digest()).decode())  # nosec B704
"""The one script that the page's security policy allows."""


@cache
def report_template() -> Template:
    """Return the Jinja template, compiled at the first call."""
    environment = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        finalize=_sanitize,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["count"] = formatting.count
    return environment.get_template(REPORT_FILE)


def _sanitize(value: object) -> object:
    """Replace control characters and bidirectional marks in text; return other values and safe markup unchanged."""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value
