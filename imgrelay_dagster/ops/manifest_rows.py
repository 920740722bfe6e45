"""Where a run reads its lines from: a manifest, URLs in its config, its day's manifest, or its coordinator's ledger."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from imgrelay_dagster.automation.daily_manifests import find_and_record
from imgrelay_dagster.automation.partitions import describe_locations
from imgrelay_dagster.config.run_config import RelayConfig
from imgrelay_dagster.ops.step import Step
from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.manifest.options import ReadOptions
from imgrelay_dagster.relay.manifest.reader import read_lines
from imgrelay_dagster.relay.manifest.rows import Row
from imgrelay_dagster.relay.manifest.sources import open_manifest
from imgrelay_dagster.relay.planning.shards import shard_rows
from imgrelay_dagster.runs.tags import MANIFEST_TAG, VERSION_TAG


@dataclass(frozen=True)
class RowSource:
    """The lines of a run, and the run tags that name the manifest they come from."""

    rows: Callable[[], Iterator[Row]]
    tags: dict[str, str]


def row_source(step: Step, config: RelayConfig) -> RowSource:
    """Find where this run reads its lines from.

    Raises:
        RelayError: the day has no manifest, or the run has neither a source nor a partition.
    """
    shard = step.settings.shard
    if shard is not None:  # its run was launched with the coordinator's tags
        store = step.stores.open(step.settings.destination)
        return RowSource(lambda: shard_rows(store, step.settings.dataset, shard), {})
    options = replace(config.read_options(), report=step.context.log.info)
    if config.url_lines is not None:
        lines = config.url_lines
        return RowSource(lambda: read_lines(lines, options), {})
    if config.urls:
        return RowSource(lambda: read_lines(config.urls, options), {})
    if config.manifest is not None:
        return _manifest(step, config.manifest, options)
    if step.day is not None:
        return _manifest_of_day(step, step.day, options)
    raise RelayError("this run has no partition; launch asset relayed_images with one")


def _manifest(step: Step, address: str, options: ReadOptions, **tags: str) -> RowSource:
    return RowSource(lambda: open_manifest(address, step.stores.open, options), {MANIFEST_TAG: address, **tags})


def _manifest_of_day(step: Step, day: str, options: ReadOptions) -> RowSource:
    found = find_and_record(step.context.instance, day, step.stores)
    if found is None:
        raise RelayError(
            f"there is no manifest of day {day}; looked for {describe_locations(day)}; put it there and launch again"
        )
    return _manifest(step, found.address, options, **{VERSION_TAG: found.version})
