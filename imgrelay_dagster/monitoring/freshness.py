"""Whether the newest day that is due has been relayed.

Dagster's freshness policy passes when any partition was materialized lately, so filling an old day would hide that the
newest one is missing.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import dagster as dg

from imgrelay_dagster.automation.day_assets import DEFAULT
from imgrelay_dagster.automation.partitions import describe, due_periods, time_zone
from imgrelay_dagster.config import environment
from imgrelay_dagster.runs.queries import RELAYED_IMAGES

MANIFESTS = DEFAULT.manifests_key
"""The asset of the check. A check of `relayed_images` would be a step of each of its runs."""

CHECK = "newest_day_is_relayed"


@dataclass(frozen=True, slots=True)
class Freshness:
    """Whether a day is relayed, and what to say about it. `day` is empty if none is due yet."""

    day: str
    passed: bool
    description: str


def newest_day(instance: dg.DagsterInstance, now: datetime) -> Freshness:
    """Whether the newest day is relayed that was due `$IMGRELAY_FRESH_WITHIN` hours ago or earlier."""
    within = environment.FRESH_WITHIN.get()
    days = due_periods(now - timedelta(hours=within), 1)
    if not days:
        return Freshness("", True, "no day is due yet")
    found = instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=RELAYED_IMAGES, asset_partitions=days), limit=1
    ).records
    if found:
        at = datetime.fromtimestamp(found[0].timestamp, UTC).astimezone(time_zone())
        return Freshness(days[0], True, f"{describe(days[0])} was relayed at {at:%Y-%m-%d %H:%M}")
    limit = f"{within} hours" if within != 1 else "an hour"
    return Freshness(days[0], False, f"{describe(days[0])} was not relayed within {limit} after IMGRELAY_DROP_AT")


def evaluate_freshness(
    instance: dg.DagsterInstance, cursor: str | None, now: datetime
) -> tuple[list[dg.AssetCheckEvaluation], str, str]:
    """Evaluate the check for its sensor.

    Returns:
        An evaluation if the result differs from that of the last tick, the new cursor, and a description.
    """
    found = newest_day(instance, now)
    state = f"{found.day} {found.passed}"
    if state == cursor:
        return [], state, found.description
    evaluation = dg.AssetCheckEvaluation(
        asset_key=MANIFESTS,
        check_name=CHECK,
        passed=found.passed,
        metadata={"day": dg.MetadataValue.text(found.day or "none")},
        severity=dg.AssetCheckSeverity.ERROR,
        description=found.description,
    )
    return [evaluation], state, found.description
