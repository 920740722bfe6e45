"""The settings of a run: the engine's representation of the run config, with all values validated."""

import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields, replace
from functools import lru_cache
from typing import Any

from imgrelay_dagster.relay import open_keys
from imgrelay_dagster.relay.adjustments import Adjustments
from imgrelay_dagster.relay.fetch.limits import Limits
from imgrelay_dagster.relay.imaging.compose import COMPOSER_VERSION, Format, Output
from imgrelay_dagster.relay.imaging.layout import Layout
from imgrelay_dagster.relay.keys import default_key, fingerprint
from imgrelay_dagster.relay.storage.object_settings import ObjectSettings
from imgrelay_dagster.relay.storage.store_options import DEFAULT_OPTIONS, StoreOptions

_PERIOD_DATASET = re.compile(r"((?:\w+-)?)(?:daily|hourly|weekly)-\d{4}-\d{2}-\d{2}(?:-\d{2})?(?:-\d{4})?")
"""Names of the datasets of daily assets: of a day, an hour or a week, with the asset's name unless it is the first."""


@dataclass(frozen=True, slots=True)
class Shard:
    """The position of a shard run: shard `number` (from 1) `of` the shards into which run `coordinator` was divided."""

    coordinator: str
    number: int
    of: int


@dataclass(frozen=True, slots=True)
class Sample:
    """A run relays `size` random entries of its list. `of` is the number of entries of the list, once it is read."""

    size: int
    of: int = 0


@dataclass(frozen=True, slots=True)
class StopWhenFailed:
    """A run ends early when more than `percentage` of its entries have failed, once `after` entries were asked for."""

    percentage: float = 50.0
    after: int = 500


@dataclass(frozen=True, slots=True)
class RunOrigin:
    """Where a run comes from: what its report says about it.

    Attributes:
        manifest: the address of its manifest, if it has one.
        launched_by: who or what launched it, in words.
        profile: the profile whose settings it uses, if it has one.
        template_size: width and height of its template in pixels.
        warnings: what looks like a mistake in its settings, each as one sentence.
        time_zone: the time zone of times in the report, a name of the IANA database.
    """

    manifest: str | None = None
    launched_by: str | None = None
    profile: str | None = None
    template_size: tuple[int, int] | None = None
    warnings: tuple[str, ...] = ()
    time_zone: str = "UTC"


@dataclass(frozen=True, slots=True)
class Settings:
    """One run's settings. `template` is a file name inside the template folder.

    `retry_permanent_after` are days. `retry_reasons` are values of `Reason`. `recheck` are days too: entries that were
    done longer ago are asked for again.
    `key` is the pattern of the keys of entries that give none. `key_extension` is a value of `KeyExtension`.
    `originals` are the addresses whose objects and files may be read as originals.
    `object` is what is stored with each image. `store` is how the destination is opened; `plan` completes it with what
    it finds out about the destination. `whole_list` is false if the run's lines are known to be a part of its
    dataset's: the failed entries of an earlier run, URLs given one by one, a sample or a shard. `replace_others`
    replaces images that another dataset stored under the same key.
    """

    dataset: str
    destination: str
    template: str = "frame.png"
    layout: Layout = field(default_factory=Layout)
    output: Output = field(default_factory=Output)
    limits: Limits = field(default_factory=Limits)
    max_pixels: int = 50_000_000
    compose_threads: int = 2
    upload_threads: int = 16
    tolerated_failure_percentage: float = 5.0
    stop_when_failed: StopWhenFailed | None = None
    refresh: bool = False
    retry_permanent: bool = False
    retry_permanent_after: float = 7.0
    retry_reasons: tuple[str, ...] = ()
    recheck: float | None = None
    verify: bool = False
    dry_run: bool = False
    keep_originals: bool = False
    reject_sources: tuple[str, ...] = ()
    originals: tuple[str, ...] = ()
    urls_per_task: int | None = None
    max_concurrent: int = 2
    max_entries_per_run: int | None = None
    shard: Shard | None = None
    sample: Sample | None = None
    key: str | None = None
    key_extension: str | None = None
    object: ObjectSettings = field(default_factory=ObjectSettings)
    store: StoreOptions = DEFAULT_OPTIONS
    whole_list: bool = True
    replace_others: bool = False
    origin: RunOrigin = field(default_factory=RunOrigin)
    adjusted: str = ""

    def with_adjustments(self, adjustments: Adjustments) -> "Settings":
        """The settings by which the run is judged at its end. `adjusted` tells what was changed while it ran."""
        tolerated = adjustments.tolerated_failure_percentage
        return replace(
            self,
            tolerated_failure_percentage=self.tolerated_failure_percentage if tolerated is None else tolerated,
            adjusted=adjustments.to_text(),
        )

    @property
    def key_prefix(self) -> str:
        """What all keys begin with: those of a sample with its dataset, so that it replaces no other image."""
        return f"{self.dataset}/" if self.sample else ""

    def is_related_dataset(self, name: str) -> bool:
        """Whether another dataset may replace this one's images: days of one daily list share the images they share.

        Also after a change from days to hours or weeks, but not those of another daily asset.
        """
        own, other = _PERIOD_DATASET.fullmatch(self.dataset), _PERIOD_DATASET.fullmatch(name)
        return own is not None and other is not None and own[1] == other[1]

    @property
    def image_store(self) -> StoreOptions:
        """How the destination is opened for images, whose ACL may be one that records never get."""
        return replace(self.store, acl=self.object.acl)

    def default_key(self, url: str) -> str:
        """Return the key of an entry whose manifest line gives no key."""
        if self.has_open_keys:  # of the same length whatever the extension will be
            longest = max(open_keys.EXTENSIONS, key=len)
            return default_key(url, longest).removesuffix(longest) + open_keys.OPEN
        return default_key(url, self.output.extension.removeprefix("."))

    @property
    def has_open_keys(self) -> bool:
        """Whether the extension of a key may be open until its image is stored (`open_keys.py`)."""
        return self.output.format is Format.SOURCE

    def possible_keys(self, key: str) -> tuple[str, ...]:
        """The keys under which the image of a planned key may be stored."""
        return open_keys.candidates(key) if self.has_open_keys else (key,)

    def stored_key(self, key: str, extension: str) -> str:
        """The key under which an image with this extension (without a dot) is stored."""
        return open_keys.settled(key, extension) if self.has_open_keys else key

    def layout_with(self, focus: str | None) -> Layout:
        """The layout of an entry that may have a focus of its own."""
        return self.layout if focus is None else replace(self.layout, focus=focus)

    def fingerprint_function(self) -> Callable[..., str]:
        """Return `keys.fingerprint` with these settings bound; it takes `url`, `template_digest` and `focus`."""
        output, composer_version = _as_fingerprinted(self.output), str(COMPOSER_VERSION)

        @lru_cache
        def layout_of(focus: str | None) -> dict[str, Any]:
            return _as_fingerprinted(self.layout_with(focus))

        def of_entry(*, url: str, template_digest: str, focus: str | None = None) -> str:
            return fingerprint(
                url=url,
                template_digest=template_digest,
                layout=layout_of(focus),
                output=output,
                composer_version=composer_version,
            )

        return of_entry


def _as_fingerprinted(options: Layout | Output) -> dict[str, Any]:
    """Return the options as plain values, without fields that were added later and have their default."""
    later = {
        field.name for field in fields(options) if field.metadata and getattr(options, field.name) == field.default
    }
    return {name: value for name, value in asdict(options).items() if name not in later}
