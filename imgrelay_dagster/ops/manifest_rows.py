"""Where the lines of a run come from: a manifest, URLs in its config, its day, or the run that it is a shard of."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from imgrelay_dagster.automation.daily_manifests import see_day
from imgrelay_dagster.automation.partitions import where
from imgrelay_dagster.config.run_config import RelayConfig
from imgrelay_dagster.ops.step import Step
from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.manifest.reader import Row, read_lines
from imgrelay_dagster.relay.manifest.sources import open_manifest
from imgrelay_dagster.relay.planning.shards import shard_rows
from imgrelay_dagster.runs.tags import MANIFEST_TAG, VERSION_TAG


@dataclass(frozen=True)
class Source:
    """The lines of a run, and the tags that say where they come from."""

    rows: Callable[[], Iterator[Row]]
    tags: dict[str, str]


def source_of(step: Step, config: RelayConfig) -> Source:
    """Where the lines of this run come from.

    Raises:
        RelayError: it is a day without a manifest, or not even a day.
    """
    shard = step.settings.shard
    if shard is not None:  # which was given its coordinator's tags
        store = step.stores.open(step.settings.destination)
        return Source(lambda: shard_rows(store, step.settings.dataset, shard), {})
    if config.url_lines is not None:
        lines = config.url_lines
        return Source(lambda: read_lines(lines), {})
    if config.urls:
        return Source(lambda: read_lines(config.urls), {})
    if config.manifest is not None:
        return _manifest(step, config.manifest)
    if step.day is not None:
        return _manifest_of_day(step, step.day)
    raise RelayError("this run was given no day; launch asset relayed_images with a partition")


def _manifest(step: Step, address: str, **tags: str) -> Source:
    return Source(lambda: open_manifest(address, step.stores.open), {MANIFEST_TAG: address, **tags})


def _manifest_of_day(step: Step, day: str) -> Source:
    found = see_day(step.context.instance, day, step.stores)
    if found is None:
        raise RelayError(f"there is no manifest of day {day}; looked for {where(day)}; put it there and launch again")
    return _manifest(step, found.address, **{VERSION_TAG: found.version})
