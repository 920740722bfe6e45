"""Making `report.html`. A page that cannot be made is no trouble of the run's."""

import logging
import time
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup
from obstore.store import ObjectStore

from imgrelay_dagster.relay import formatting
from imgrelay_dagster.relay.html_report.contact_sheet import thumbnails
from imgrelay_dagster.relay.html_report.statistics import RunStatistics
from imgrelay_dagster.relay.html_report.view_model import Page, build_view_model
from imgrelay_dagster.relay.records.layout import REPORT, results_prefix
from imgrelay_dagster.relay.records.summary import Summary
from imgrelay_dagster.relay.redact import printable
from imgrelay_dagster.relay.settings import Settings
from imgrelay_dagster.relay.storage.stores import explain, put_object

_HERE = Path(__file__).parent

_log = logging.getLogger(__name__)


def write_page(store: ObjectStore, summary: Summary, settings: Settings, gathered: RunStatistics) -> bool:
    """Put the page beside the run's results; whether that worked. Never raises an `Exception`."""
    try:
        pictures = thumbnails(store, gathered.stored)
        page = build_view_model(summary, settings, gathered, pictures, now=time.time())
        address = f"{results_prefix(summary.dataset, summary.run_id)}/{REPORT}"
        put_object(store, address, render(page).encode(), "text/html; charset=utf-8")
    except Exception as error:  # noqa: BLE001 - the results are whole without it
        _log.warning("report.html of run %s was not made: %s", summary.run_id, explain(error))
        return False
    return True


def render(page: Page) -> str:
    """The page as HTML. Every text in it is made harmless and escaped, and it may load nothing and run nothing."""
    return page_template().render(page=page)


@cache
def page_template() -> Template:
    """The page's template, compiled at the first call."""
    environment = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        finalize=_harmless,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["count"] = formatting.count
    return environment.get_template(REPORT)


def _harmless(value: object) -> object:
    """Text without control characters and marks that turn the direction of writing."""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value
