"""Where a run reads its lines from: a manifest, URLs in its config, that of its period, or its coordinator's ledger."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

from imgrelay_dagster.automation.daily_manifests import find_and_record
from imgrelay_dagster.automation.day_assets import DayAsset
from imgrelay_dagster.automation.manifest_locations import describe_locations
from imgrelay_dagster.automation.partitions import describe
from imgrelay_dagster.config.run_config import RelayConfig
from imgrelay_dagster.ops.step import Step
from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.manifest.reader import read_lines
from imgrelay_dagster.relay.manifest.rows import Row
from imgrelay_dagster.relay.manifest.sources import ManifestFile, open_manifest
from imgrelay_dagster.relay.manifest.web_manifest import is_web, manifest_limits, shown_address, web_rows
from imgrelay_dagster.relay.planning.shards import shard_rows
from imgrelay_dagster.resources import HttpResource, StoresResource
from imgrelay_dagster.runs.tags import MANIFEST_TAG, VERSION_TAG

Report = Callable[[str], None]
"""Takes a sentence about the manifest, such as which column holds the URLs."""


@dataclass(frozen=True)
class RowSource:
    """The lines of a run, and the run tags that name the manifest they come from."""

    rows: Callable[[Report], Iterator[Row]]
    tags: dict[str, str]


def row_source(step: Step, config: RelayConfig, http: HttpResource) -> RowSource:
    """Find where this run reads its lines from.

    Raises:
        RelayError: the period has no manifest, or the run has neither a source nor a partition.
    """
    shard = step.settings.shard
    if shard is not None:  # its run was launched with the coordinator's tags
        store = step.stores.open(step.settings.destination)
        return RowSource(lambda _: shard_rows(store, step.settings.dataset, shard), {})
    tags = {} if config.manifest is None else {MANIFEST_TAG: shown_address(config.manifest)}
    if config.manifest is None and not config.urls and config.url_lines is None:
        if step.asset is None or step.period is None:
            name = "relayed_images" if step.asset is None else step.asset.name
            raise RelayError(f"this run has no partition; launch asset {name} with one")
        found = _manifest_of_period(step, step.asset, step.period)
        config = config.model_copy(update={"manifest": found.address})
        tags = {MANIFEST_TAG: found.address, VERSION_TAG: found.version}
    return RowSource(partial(rows_of_config, config, step.stores, http), tags)


def rows_of_config(config: RelayConfig, stores: StoresResource, http: HttpResource, report: Report) -> Iterator[Row]:
    """The lines of the manifest, or the URLs, that a run config names."""
    options = replace(config.read_options(), report=report)
    if config.url_lines is not None:
        return read_lines(config.url_lines, options)
    if config.manifest is not None and is_web(config.manifest):
        limits = manifest_limits(config.settings().limits)
        return web_rows(config.manifest, http.downloader(limits, threading.Event()), options)
    if config.manifest is not None:
        return open_manifest(config.manifest, stores.open, options)
    return read_lines(config.urls, options)


def _manifest_of_period(step: Step, asset: DayAsset, period: str) -> ManifestFile:
    found = find_and_record(step.context.instance, period, step.stores, asset)
    if found is None:
        raise RelayError(
            f"there is no manifest of {describe(period)}; looked for {describe_locations(period, asset.manifests)}; "
            "put it there and launch again"
        )
    return found
