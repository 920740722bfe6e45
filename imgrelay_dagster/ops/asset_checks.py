"""Asset checks of `relayed_images`."""

import warnings
from collections.abc import Iterator

import dagster as dg
from obstore.store import ObjectStore

from imgrelay_dagster.relay import formatting
from imgrelay_dagster.relay.formatting import most_frequent
from imgrelay_dagster.relay.records.summary import PARTIAL, Summary
from imgrelay_dagster.relay.results.inspection import Inspection, inspect_destination
from imgrelay_dagster.runs.queries import RELAYED_IMAGES

FAILED_ENTRIES = "failed_entries"


DESTINATION_HOLDS = "destination_holds_results"


CHECKS = (FAILED_ENTRIES, DESTINATION_HOLDS)


CHECK_OUTPUTS = {f"{RELAYED_IMAGES.to_python_identifier()}_{name}": name for name in CHECKS}
"""The names under which Dagster looks for the checks among an asset graph's outputs, and the report's own."""


MOST_WRONG = 5
"""Objects named that are not as the results say."""


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
