"""The options of a run: every field of the run config except where its URLs come from, with bounds and unit."""

import difflib
import os
import re
from dataclasses import fields
from typing import Any, Literal, Self

import dagster as dg
from pydantic import Field, ValidationError, field_validator

from imgrelay_dagster.config import environment
from imgrelay_dagster.config.allowed_paths import allowed_originals, check_local_path
from imgrelay_dagster.config.defaults import default_destination, default_max_concurrent
from imgrelay_dagster.config.download_limits import download_limits
from imgrelay_dagster.config.environment import MOST_CONCURRENT
from imgrelay_dagster.config.executor_choice import check_reachable
from imgrelay_dagster.config.form_errors import first_error, refuse_unknown
from imgrelay_dagster.config.periods import parse_days
from imgrelay_dagster.config.sections import (
    ColumnsConfig,
    DownloadConfig,
    LayoutConfig,
    ObjectConfig,
    OutputConfig,
    ShardConfig,
    StopWhenFailedConfig,
)
from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.fetch.origin_settings import read_origin_settings
from imgrelay_dagster.relay.imaging.compose import Format, JpegOptions, Output
from imgrelay_dagster.relay.imaging.layout import Anchor, Canvas, Fit, Layout, Mode, ScaleOf
from imgrelay_dagster.relay.imaging.size_limits import SizeLimits
from imgrelay_dagster.relay.imaging.window import parse_window
from imgrelay_dagster.relay.manifest.content import check_encoding
from imgrelay_dagster.relay.manifest.options import ALL, Columns, ReadOptions
from imgrelay_dagster.relay.outcomes import Reason
from imgrelay_dagster.relay.planning.key_pattern import KeyPattern, carried_columns
from imgrelay_dagster.relay.records.dataset_names import check_dataset
from imgrelay_dagster.relay.settings import Settings, Shard, StopWhenFailed
from imgrelay_dagster.relay.storage.addresses import absolute
from imgrelay_dagster.relay.storage.object_settings import OWNER_ACLS, ObjectSettings
from imgrelay_dagster.relay.storage.store_options import StoreOptions

ADHOC = "adhoc"


class RelayOptions(dg.Config):
    """The options of a run: everything but where its URLs come from."""

    dataset: str | None = Field(
        None,
        description="Name under which results are kept from run to run. Default: the manifest's name, or adhoc.",
    )
    profile: str | None = Field(
        None,
        description="Named settings from the file IMGRELAY_PROFILES; values here that differ from their defaults win. "
        "Default: what the manifest's sidecar or a rule of that file says; none: no profile.",
    )
    template: str = Field("frame.png", description="File name of the template in the template folder.")
    destination: str | None = Field(
        None,
        description="s3://bucket/prefix (or gs://, az://) or a folder. Default: $IMGRELAY_DESTINATION, else out.",
    )
    layout: LayoutConfig = Field(LayoutConfig(**{}), description="How the template is laid over the image.")
    output: OutputConfig = Field(OutputConfig(**{}), description="How the composed image is encoded.")
    key: str | None = Field(
        None,
        description="Pattern of the keys of entries that give none, such as {sku}/{line:05d}-{name}.{ext}; {path}, "
        "{host}, {hash}, {part}, {template}, {dataset}, {day}, or a column.",
    )
    key_extension: Literal["auto", "keep", "replace", "refuse"] = Field(
        "auto",
        description="What to do about a key whose extension contradicts the format. auto: replace it in keys made "
        "from a pattern, keep it in others.",
    )
    object: ObjectConfig = Field(
        ObjectConfig(**{}), description="Headers, access and metadata that are stored with each image."
    )
    columns: ColumnsConfig = Field(
        ColumnsConfig(**{}), description="Which columns of the manifest hold what; name only those with unusual names."
    )
    carry: list[str] = Field(
        [],
        description="Columns of the manifest whose values are carried into the results, such as [sku, title]; "
        "all: every column.",
    )
    download: DownloadConfig = Field(
        DownloadConfig(**{}), description="Limits on downloads; name only those that differ from their defaults."
    )
    tolerated_failure_percentage: float = Field(
        5.0, ge=0, le=100, description="The run fails when more than this share of entries failed, 0 to 100 %."
    )
    stop_when_failed: StopWhenFailedConfig | None = Field(
        None,
        description="End the run early if it clearly goes wrong, such as {percentage: 50, after: 500}: more than half "
        "of at least 500 entries failed. Off if left out.",
    )
    refresh: bool = Field(False, description="Relay every entry again, also those that are done.")
    retry_permanent: bool = Field(
        False, description="Also retry entries whose last failure was permanent (404, 410, not an image ...)."
    )
    retry_permanent_after: float = Field(
        Settings(dataset="", destination="").retry_permanent_after,
        ge=0,
        description="Days after which entries that failed permanently are asked for again anyway.",
    )
    retry_reasons: list[str] = Field(
        [], description="Reasons, such as corrupt_image: entries whose last failure was one of them are asked again."
    )
    recheck: str | None = Field(
        None,
        description="Ask again for images that were downloaded longer ago than this, such as 30d (h, d or w): only "
        "those that have changed on their server are downloaded, composed and stored again. Default: never.",
    )
    verify: bool = Field(
        False, description="List the destination first, and relay again the entries whose images are missing from it."
    )
    reject_sources: list[str] = Field(
        [],
        description="SHA-256 digests of downloaded images that count as failed, such as a shop's placeholder; results "
        "name the digest of each image as source_sha256.",
    )
    keep_originals: bool = Field(
        False,
        description="Keep what is downloaded, up to $IMGRELAY_KEEP_ORIGINALS, so that another template or layout needs "
        "no server. Only with a local staging folder.",
    )
    dry_run: bool = Field(
        False, description="Only read, check and plan: show what the run would do, ask no origin and store nothing."
    )
    replace_others: bool = Field(
        False, description="Replace images that another dataset stored under the same key, instead of failing the line."
    )
    urls_per_task: int | None = Field(
        None, ge=1, le=100_000, description="Entries in one task. Default: depends on the number of entries."
    )
    max_concurrent: int | None = Field(
        None,
        ge=1,
        le=MOST_CONCURRENT,
        description="Concurrent steps. Default: $IMGRELAY_MAX_CONCURRENT, else one more than the machine has cores.",
    )
    max_entries_per_run: int | None = Field(
        100_000,
        ge=1,
        description="With more entries left to do than this, the run requests shard runs that share them, and relays "
        "nothing itself. null: always one run.",
    )
    shard: ShardConfig | None = Field(None, description="The sensor `shards` fills it in; leave it out.")

    @field_validator("reject_sources")
    @classmethod
    def _digests(cls, given: list[str]) -> list[str]:
        if not all(re.fullmatch("[0-9a-fA-F]{64}", digest) for digest in given):
            raise ValueError("a SHA-256 digest has 64 hexadecimal digits")
        return [digest.lower() for digest in given]

    @field_validator("recheck")
    @classmethod
    def _period(cls, given: str | None) -> str | None:
        if given:
            parse_days(given)
        return given or None

    def settings(self) -> Settings:
        """The engine's settings.

        Raises:
            RelayError: a value that only its own part can judge, such as a colour.
        """
        max_concurrent = self.max_concurrent or default_max_concurrent()
        return Settings(
            dataset=self.dataset or ADHOC,
            destination=self.destination or default_destination(),
            template=self.template,
            layout=Layout(
                mode=Mode(self.layout.mode),
                canvas=Canvas(self.layout.canvas),
                fit=Fit(self.layout.fit),
                anchor=Anchor(self.layout.anchor),
                scale=self.layout.scale,
                margin=self.layout.margin,
                opacity=self.layout.opacity,
                window=parse_window(self.layout.window),
                focus=self.layout.focus,
                scale_of=ScaleOf(self.layout.scale_of),
                limits=SizeLimits(**{field.name: getattr(self.layout, field.name) for field in fields(SizeLimits)}),
            ),
            output=Output(
                format=Format(self.output.format),
                quality=self.output.quality,
                speed=self.output.speed,
                jpeg_options=JpegOptions(**self.output.jpeg_options.model_dump()),
                png_compress_level=self.output.png_compress_level,
                background=self.output.background,
                max_output_bytes=self.output.max_output_bytes,
                min_quality=self.output.min_quality,
                keep=tuple(sorted(set(self.output.keep))),
            ),
            limits=download_limits(self.download, max_concurrent),
            key=self.key or None,
            key_extension=None if self.key_extension == "auto" else self.key_extension,
            object=(stored := ObjectSettings(**self.object.model_dump())),
            store=StoreOptions(acl=stored.acl if stored.acl in OWNER_ACLS else None),
            max_pixels=self.download.max_pixels,
            tolerated_failure_percentage=self.tolerated_failure_percentage,
            stop_when_failed=StopWhenFailed(**self.stop_when_failed.model_dump()) if self.stop_when_failed else None,
            refresh=self.refresh,
            retry_permanent=self.retry_permanent,
            retry_permanent_after=self.retry_permanent_after,
            retry_reasons=checked_reasons(self.retry_reasons),
            recheck=parse_days(self.recheck) if self.recheck else None,
            verify=self.verify,
            replace_others=self.replace_others,
            dry_run=self.dry_run,
            keep_originals=self.keep_originals,
            reject_sources=tuple(self.reject_sources),
            originals=allowed_originals(),
            urls_per_task=self.urls_per_task,
            max_concurrent=max_concurrent,
            max_entries_per_run=self.max_entries_per_run,
            shard=Shard(**self.shard.model_dump()) if self.shard else None,
        )

    def read_options(self) -> ReadOptions:
        """How the manifest is to be read.

        Raises:
            RelayError: the encoding is not known, or the separator is empty.
        """
        if self.columns.encoding is not None:
            check_encoding(self.columns.encoding)
        return ReadOptions(Columns(**self.columns.model_dump()), self._carried())

    def _carried(self) -> tuple[str, ...]:
        """The columns that are carried along: those of `carry`, and those that keys and headers are made from."""
        if ALL in self.carry:
            return tuple(self.carry)
        stored = ObjectSettings(**self.object.model_dump())
        used = [*carried_columns({"key": self.key}), *stored.columns()]
        return tuple(dict.fromkeys((*self.carry, *used)))

    @field_validator("carry", mode="before")
    @classmethod
    def _names(cls, given: Any) -> Any:
        """Accept one text in place of a list: `all`, or names separated by commas."""
        return [name.strip() for name in given.split(",") if name.strip()] if isinstance(given, str) else given

    @classmethod
    def checked(cls, values: dict[str, Any]) -> Self:
        """Return the form with its defaults filled in, and with absolute addresses.

        Raises:
            RelayError: a value is not valid; the message names the field, the value and the solution.
        """
        refuse_unknown(cls, values)
        try:
            form = cls(**values)
        except ValidationError as error:
            raise RelayError(first_error(error, cls)) from error
        resolved = form.model_copy(update=form._resolved())
        settings = resolved.settings()
        read_origin_settings(environment.ORIGIN_SETTINGS.get(), os.environ)
        settings.object.check(settings.destination)
        settings.output.check()
        if settings.key is not None:
            KeyPattern(settings.key, dataset=settings.dataset, extension=settings.output.extension.removeprefix("."))
        resolved.read_options()
        return resolved

    def _resolved(self) -> dict[str, Any]:
        """The values of fields that the form leaves open, and of those that have a normal form."""
        if self.dataset is not None:
            check_dataset(self.dataset)
        destination = absolute(self.destination or default_destination())
        check_local_path("destination", destination, [default_destination()])
        check_reachable("destination", destination, "IMGRELAY_DESTINATION")
        return {"destination": destination, "max_concurrent": self.max_concurrent or default_max_concurrent()}


def checked_reasons(reasons: list[str]) -> tuple[str, ...]:
    """The reasons, each once.

    Raises:
        RelayError: one of them is not a reason.
    """
    for reason in reasons:
        if reason not in list(Reason):
            near = difflib.get_close_matches(reason, list(Reason), n=1)
            hint = f"did you mean {near[0]}?" if near else f"the reasons are {', '.join(Reason)}"
            raise RelayError(f"retry_reasons: {reason!r} is not a reason; {hint}")
    return tuple(dict.fromkeys(reasons))
