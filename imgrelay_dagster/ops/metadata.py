"""The metadata that Dagster shows for a run: counts that it plots, a table of failures, a contact sheet of images."""

from collections.abc import Mapping, Sequence

import dagster as dg

from imgrelay_dagster.config import environment
from imgrelay_dagster.relay import formatting
from imgrelay_dagster.relay.formatting import most_frequent
from imgrelay_dagster.relay.outcomes import MEANINGS, Reason
from imgrelay_dagster.relay.records.layout import REPORT_FILE, results_prefix
from imgrelay_dagster.relay.records.summary import Summary
from imgrelay_dagster.relay.results.inspection import Inspection

INLINE_LIMIT = 1000
"""Maximum characters of Markdown that Dagster shows inline; longer text appears after a click."""


Metadata = dict[str, dg.MetadataValue]


def summary_metadata(
    summary: Summary,
    destination: str,
    inspection: Inspection | None = None,
    failed_rows: Sequence[Mapping[str, str]] = (),
) -> Metadata:
    """The metadata of a run: its counts as numbers, which Dagster plots, its failures, and some of its stored images.

    The most important entries come first, because a row of the run's log shows only seven.

    Args:
        summary: the counts of the run.
        destination: the destination's address.
        inspection: the stored images for the contact sheet; None leaves it out.
        failed_rows: failed entries with the columns that the run carries along.
    """

    def numbers(*names: str) -> Metadata:
        return {name: dg.MetadataValue.int(getattr(summary, name)) for name in names}

    results = results_prefix(summary.dataset, summary.run_id)
    return {
        **numbers("entries", "uploaded", "unchanged", "failed", "not_attempted"),
        "reasons": dg.MetadataValue.text(most_frequent(summary.reasons, len(summary.reasons)) or "none failed"),
        "report": _report_address(destination, f"{results}/{REPORT_FILE}"),
        **_failures_and_images(summary, inspection),
        **({"failed_entries": _table(failed_rows)} if failed_rows else {}),
        "results": dg.MetadataValue.path(f"{destination}/{results}"),
        **numbers("bytes_in", "bytes_out"),
        "seconds": dg.MetadataValue.float(summary.seconds),
        "images_per_second": dg.MetadataValue.float(summary.images_per_second),
        "failed_percentage": dg.MetadataValue.float(round(summary.failed_percentage, 3)),
    }


def _report_address(destination: str, key: str) -> dg.MetadataValue:
    """The address of the HTML report: a link if `IMGRELAY_DESTINATION_URL` is the URL that serves the destination."""
    served = environment.DESTINATION_URL.get()
    if served and served.startswith(("http://", "https://")):
        return dg.MetadataValue.url(f"{served.rstrip('/')}/{key}")
    return dg.MetadataValue.path(f"{destination}/{key}")


def _failures_and_images(summary: Summary, inspection: Inspection | None) -> Metadata:
    """The table of failures, if any, and the contact sheet of stored images, if there are any."""
    metadata: Metadata = {}
    if summary.reasons:
        metadata["failures"] = dg.MetadataValue.md(failure_table(summary))
    sheet = inspection.contact_sheet_uri() if inspection is not None else None
    if sheet is not None:
        metadata["contact_sheet"] = dg.MetadataValue.md(f"![stored images]({sheet})")
    return metadata


def _table(rows: Sequence[Mapping[str, str]]) -> dg.MetadataValue:
    columns = [dg.TableColumn(name) for name in rows[0]]
    return dg.MetadataValue.table([dg.TableRecord(dict(row)) for row in rows], dg.TableSchema(columns))


def not_asked_note(summary: Summary) -> str:
    """A sentence on the failures that are remembered from earlier runs; empty if there are none."""
    if not summary.not_asked:
        return ""
    return f"\n{formatting.count(summary.not_asked)} of them were not asked in this run; `retry_permanent` asks again\n"


def failure_table(summary: Summary) -> str:
    """A Markdown table of failures by reason with their meaning, shorter than `INLINE_LIMIT` characters."""
    table = "| reason | entries | what it means |\n|---|--:|---|\n"
    left = len(summary.reasons)
    for reason, number in summary.reasons.items():
        row = f"| `{reason}` | {formatting.count(number)} | {MEANINGS[Reason(reason)]} |\n"
        if len(table) + len(row) > INLINE_LIMIT - 160:
            return f"{table}\nand {left} more reasons, all in the report{not_asked_note(summary)}"
        table += row
        left -= 1
    return table + not_asked_note(summary)
