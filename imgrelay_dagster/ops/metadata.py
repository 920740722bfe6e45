"""What Dagster's pages show of a run: numbers that plot, failures as a table, how images look; and asset checks."""

import os
import warnings
from collections.abc import Iterator

import dagster as dg
from obstore.store import ObjectStore

from imgrelay_dagster.relay import formatting
from imgrelay_dagster.relay.outcomes import Reason
from imgrelay_dagster.relay.planning.shards import PARTIAL
from imgrelay_dagster.relay.progress.announcer import most_frequent
from imgrelay_dagster.relay.records.summary import REPORT, Summary, results_prefix
from imgrelay_dagster.relay.results.inspection import Inspection, inspect_destination
from imgrelay_dagster.runs.queries import RELAYED_IMAGES

FAILED_ENTRIES = "failed_entries"
DESTINATION_HOLDS = "destination_holds_results"
CHECKS = (FAILED_ENTRIES, DESTINATION_HOLDS)
CHECK_OUTPUTS = {f"{RELAYED_IMAGES.to_python_identifier()}_{name}": name for name in CHECKS}
"""The names under which Dagster looks for the checks among an asset graph's outputs, and the report's own."""

INLINE = 1000
"""Characters of Markdown that Dagster shows at once and not behind a click."""

MOST_WRONG = 5
"""Objects named that are not as the results say."""

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
        row = f"| `{reason}` | {formatting.count(number)} | {formatting.MEANINGS[Reason(reason)]} |\n"
        if len(table) + len(row) > INLINE - 60:
            return f"{table}\nand {left} more reasons, all in the report"
        table += row
        left -= 1
    return table


def inspected(store: ObjectStore, summary: Summary) -> Inspection | None:
    """What a look into the destination shows; None where it cannot be looked into, which is no trouble of the run's."""
    try:
        return inspect_destination(store, summary.dataset, summary.run_id)
    except Exception:  # noqa: BLE001 - whatever it is, the run has its results
        return None


def check_specs(partitions: dg.PartitionsDefinition) -> list[dg.AssetCheckSpec]:
    """The checks that a run of asset `relayed_images` makes of itself."""
    described = {
        FAILED_ENTRIES: "Warns when any entry failed, and says why, or when shard runs have yet to attempt some.",
        DESTINATION_HOLDS: "Whether the destination holds what the results say: a sample of the stored images is "
        "there, as large as recorded and of the same bytes (SHA-256).",
    }
    with warnings.catch_warnings():
        # Without its partitions a check leaves a row "Skipped" for every run.
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return [
            dg.AssetCheckSpec(name, asset=RELAYED_IMAGES, description=description, partitions_def=partitions)
            for name, description in described.items()
        ]


def check_results(summary: Summary, seen: Inspection | None) -> Iterator[dg.AssetCheckResult]:
    """How the checks ended for a run."""
    told = most_frequent(summary.reasons, len(summary.reasons))
    entries = formatting.count(summary.entries)
    said = f"{formatting.count(summary.failed)} of {entries} entries failed: {told}"
    if not summary.failed:
        said = f"none of {entries} entries failed"
    if summary.not_attempted:
        said += f"; {formatting.count(summary.not_attempted)} were not attempted" + (
            ", and are left to shard runs" if summary.status == PARTIAL else ""
        )
    yield dg.AssetCheckResult(
        asset_key=RELAYED_IMAGES,
        check_name=FAILED_ENTRIES,
        passed=not summary.failed and not summary.not_attempted,
        severity=dg.AssetCheckSeverity.WARN,
        description=said,
        metadata={
            "failed": summary.failed,
            "not_attempted": summary.not_attempted,
            "reasons": told or "none failed",
        },
    )
    wrong = seen.wrong if seen is not None else ["the destination could not be looked into"]
    checked = seen.checked if seen is not None else 0
    yield dg.AssetCheckResult(
        asset_key=RELAYED_IMAGES,
        check_name=DESTINATION_HOLDS,
        passed=not wrong,
        severity=dg.AssetCheckSeverity.ERROR if seen is not None else dg.AssetCheckSeverity.WARN,
        description="; ".join(wrong[:MOST_WRONG]) if wrong else f"{checked} stored images are as recorded",
        metadata={"checked": checked, "wrong": len(wrong)},
    )
