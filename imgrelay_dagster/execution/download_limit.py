"""The limit on the concurrent downloads of a run, as Dagster's executors take it."""

from typing import Any

from imgrelay_dagster.relay.outcomes import Stage
from imgrelay_dagster.relay.staging.tasks import max_concurrent_downloads
from imgrelay_dagster.runs.tags import STAGE_TAG


def download_limit(max_concurrent: int) -> list[dict[str, Any]]:
    """The `tag_concurrency_limits` of a run with this number of concurrent steps."""
    limit = max_concurrent_downloads(max_concurrent)
    return [{"key": STAGE_TAG, "value": Stage.DOWNLOAD.value, "limit": limit}]
