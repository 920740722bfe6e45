"""The asset check that no run of an asset evaluates: whether the newest day is relayed."""

from datetime import UTC, datetime

import dagster as dg

from imgrelay_dagster.monitoring.freshness import CHECK, MANIFESTS, newest_day


@dg.asset_check(
    asset=MANIFESTS,
    name=CHECK,
    description=(
        "Whether the newest day is relayed that was due IMGRELAY_FRESH_WITHIN hours ago. Turn on sensor day_freshness "
        "to have it evaluated by itself."
    ),
)
def newest_day_is_relayed(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
    """Evaluate the check when it is executed by hand."""
    found = newest_day(context.instance, datetime.now(UTC))
    return dg.AssetCheckResult(
        passed=found.passed, description=found.description, metadata={"day": found.day or "none"}
    )
