"""What Dagster's pages show of a run: numbers that plot, failures as a table, how images look; and asset checks."""

import os

import dagster as dg

from imgrelay_dagster.relay import formatting
from imgrelay_dagster.relay.formatting import most_frequent
from imgrelay_dagster.relay.outcomes import MEANINGS, Reason
from imgrelay_dagster.relay.records.layout import REPORT, results_prefix
from imgrelay_dagster.relay.records.summary import Summary
from imgrelay_dagster.relay.results.inspection import Inspection

INLINE = 1000
"""Characters of Markdown that Dagster shows at once and not behind a click."""


Metadata = dict[str, dg.MetadataValue]


def summary_metadata(summary: Summary, destination: str, seen: Inspection | None = None) -> Metadata:
    """The counts as numbers, so that they plot; failures as a table; how stored images look, where that was seen.

    What matters most comes first: a row of the log shows seven.
    """

    def numbers(*names: str) -> Metadata:
        return {name: dg.MetadataValue.int(getattr(summary, name)) for name in names}

    results = results_prefix(summary.dataset, summary.run_id)
    return {
        **numbers("entries", "uploaded", "unchanged", "failed", "not_attempted"),
        "reasons": dg.MetadataValue.text(most_frequent(summary.reasons, len(summary.reasons)) or "none failed"),
        "report": _report(destination, f"{results}/{REPORT}"),
        **_pictured(summary, seen),
        "results": dg.MetadataValue.path(f"{destination}/{results}"),
        **numbers("bytes_in", "bytes_out"),
        "seconds": dg.MetadataValue.float(summary.seconds),
        "images_per_second": dg.MetadataValue.float(summary.images_per_second),
        "failed_percentage": dg.MetadataValue.float(round(summary.failed_percentage, 3)),
    }


def _report(destination: str, key: str) -> dg.MetadataValue:
    """The report's address: a link where `IMGRELAY_DESTINATION_URL` says under which one the destination is served."""
    served = os.environ.get("IMGRELAY_DESTINATION_URL")
    if served and served.startswith(("http://", "https://")):
        return dg.MetadataValue.url(f"{served.rstrip('/')}/{key}")
    return dg.MetadataValue.path(f"{destination}/{key}")


def _pictured(summary: Summary, seen: Inspection | None) -> Metadata:
    """Why entries failed, as a table, and how stored images look."""
    shown: Metadata = {}
    if summary.reasons:
        shown["failures"] = dg.MetadataValue.md(failure_table(summary))
    sheet = seen.sheet() if seen is not None else None
    if sheet is not None:
        shown["contact_sheet"] = dg.MetadataValue.md(f"![stored images]({sheet})")
    return shown


def failure_table(summary: Summary) -> str:
    """Failures by reason with what each means, in less than `INLINE` characters of Markdown."""
    table = "| reason | entries | what it means |\n|---|--:|---|\n"
    left = len(summary.reasons)
    for reason, number in summary.reasons.items():
        row = f"| `{reason}` | {formatting.count(number)} | {MEANINGS[Reason(reason)]} |\n"
        if len(table) + len(row) > INLINE - 60:
            return f"{table}\nand {left} more reasons, all in the report"
        table += row
        left -= 1
    return table
