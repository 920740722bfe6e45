"""Asset checks of the daily assets."""

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


def check_outputs(asset: str) -> dict[str, str]:
    """By output name of the asset's graph, as Dagster derives it for a check: the output of op `report` for it."""
    return {f"{asset}_{name}": name for name in CHECKS}


MAX_NAMED_OBJECTS = 5
"""Objects named in a check's description that differ from what the results record."""


def try_inspect(store: ObjectStore, summary: Summary) -> Inspection | None:
    """Inspect a sample of the stored images; None if that fails. A failed inspection never fails the run."""
    try:
        return inspect_destination(store, summary.dataset, summary.run_id)
    except Exception:  # noqa: BLE001 - whatever the error is, the run's results are written
        return None


def check_specs(asset: dg.AssetKey, partitions: dg.PartitionsDefinition) -> list[dg.AssetCheckSpec]:
    """The asset checks that each run of a daily asset evaluates."""
    described = {
        FAILED_ENTRIES: "Warns with the reasons when any entry failed, or when entries are left to shard runs.",
        DESTINATION_HOLDS: "Whether the destination holds what the results record: each image of a sample exists "
        "with the recorded size and SHA-256 digest.",
    }
    with warnings.catch_warnings():
        # Without partitions_def, a check shows a row "Skipped" for every run.
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return [
            dg.AssetCheckSpec(name, asset=asset, description=description, partitions_def=partitions)
            for name, description in described.items()
        ]


def check_results(
    summary: Summary, inspection: Inspection | None, asset: dg.AssetKey = RELAYED_IMAGES
) -> Iterator[dg.AssetCheckResult]:
    """Yield the result of each check for a run.

    Args:
        summary: the run's summary, or for a shard run that of its coordinator.
        inspection: the sample of stored images; None if the destination could not be inspected.
        asset: the asset's key.
    """
    reasons = most_frequent(summary.reasons, len(summary.reasons))
    entries = formatting.count(summary.entries)
    description = f"{formatting.count(summary.failed)} of {entries} entries failed: {reasons}"
    if not summary.failed:
        description = f"none of {entries} entries failed"
    if summary.not_attempted:
        description += f"; {formatting.count(summary.not_attempted)} were not attempted" + (
            ", and are left to shard runs" if summary.status == PARTIAL else ""
        )
    yield dg.AssetCheckResult(
        asset_key=asset,
        check_name=FAILED_ENTRIES,
        passed=not summary.failed and not summary.not_attempted,
        severity=dg.AssetCheckSeverity.WARN,
        description=description,
        metadata={
            "failed": summary.failed,
            "not_attempted": summary.not_attempted,
            "reasons": reasons or "none failed",
        },
    )
    wrong = inspection.mismatches if inspection is not None else ["the destination could not be inspected"]
    checked = inspection.checked if inspection is not None else 0
    yield dg.AssetCheckResult(
        asset_key=asset,
        check_name=DESTINATION_HOLDS,
        passed=not wrong,
        severity=dg.AssetCheckSeverity.ERROR if inspection is not None else dg.AssetCheckSeverity.WARN,
        description="; ".join(wrong[:MAX_NAMED_OBJECTS]) if wrong else f"{checked} stored images are as recorded",
        metadata={"checked": checked, "wrong": len(wrong)},
    )
