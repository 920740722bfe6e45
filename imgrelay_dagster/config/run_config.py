"""The run config: every field with default, bounds, unit and description.

This is the edge where people's input is checked. The engine gets `Settings` made from it and nothing else. How the
form is shown in the launchpad and reaches the ops is in `forms.py`.
"""

import difflib
import os
from typing import Any, Literal, Self

import dagster as dg
from pydantic import Field, ValidationError

from imgrelay_dagster.config import environment
from imgrelay_dagster.config.allowed_paths import local_path_allowed, resolve_manifest
from imgrelay_dagster.config.environment import MOST_CONCURRENT
from imgrelay_dagster.config.executor_choice import check_reachable
from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.fetch.downloader import Limits
from imgrelay_dagster.relay.imaging.compose import Format, Output
from imgrelay_dagster.relay.imaging.decode import HIGHEST_MAX_PIXELS
from imgrelay_dagster.relay.imaging.layout import Anchor, Canvas, Fit, Layout, Mode
from imgrelay_dagster.relay.records.dataset_names import check_dataset, dataset_name
from imgrelay_dagster.relay.settings import Settings, Shard
from imgrelay_dagster.relay.storage.addresses import absolute

ADHOC = "adhoc"

SAMPLE_MANIFEST = environment.SAMPLE_MANIFEST.get()
"""What the launchpad opens with in `make dev`. It gives way to any URLs."""


class LayoutConfig(dg.Config):
    """How the template is laid over the image."""

    mode: Literal["frame", "watermark"] = Field(
        "frame", description="frame: the template covers the whole canvas. watermark: it is put small at `anchor`."
    )
    canvas: Literal["image", "template"] = Field(
        "image",
        description="frame only: the output is as large as the upright image, or as large as the template.",
    )
    fit: Literal["cover", "contain", "stretch"] = Field(
        "cover", description="`canvas: template` only: how the image fills it; contain pads with the background."
    )
    anchor: Literal[
        "north_west", "north", "north_east", "west", "center", "east", "south_west", "south", "south_east"
    ] = Field("south_east", description="watermark only: where it is put.")
    scale: float = Field(
        0.25, gt=0, le=1, description="watermark only: its width as a share of the image's width, above 0 to 1."
    )
    margin: float = Field(
        0.02,
        ge=0,
        lt=0.5,
        description="watermark only: space to the edge as a share of the image's width, 0 to below 0.5.",
    )
    opacity: float = Field(1.0, ge=0, le=1, description="Opacity of the template, 0 (clear) to 1.")


class OutputConfig(dg.Config):
    """How the composed image is encoded."""

    format: Literal["jpeg", "png", "webp"] = Field("jpeg", description="Format of the stored images.")
    quality: int = Field(85, ge=1, le=100, description="jpeg and webp only: 1 (small) to 100 (good).")
    png_compress_level: int = Field(
        Output().png_compress_level, ge=0, le=9, description="png only: 0 (fast) to 9 (small)."
    )
    background: str = Field(
        "white",
        description="Colour beneath transparent pixels and beside a contained image, as in CSS: white, #a0b0c0.",
    )


_LIMITS = Limits()


class DownloadConfig(dg.Config):
    """Limits on fetching strangers' images."""

    connect_timeout: float = Field(
        _LIMITS.connect_timeout, gt=0, le=60, description="Seconds to look up a host and connect to it."
    )
    read_timeout: float = Field(
        _LIMITS.read_timeout, gt=0, le=300, description="Seconds without a byte before giving up."
    )
    deadline: float = Field(
        _LIMITS.deadline, gt=0, le=3600, description="Seconds for one whole download, redirects included."
    )
    attempts: int = Field(
        _LIMITS.attempts, ge=1, le=10, description="How often a URL is tried when the trouble may pass."
    )
    backoff: float = Field(
        _LIMITS.backoff, ge=0, le=60, description="Seconds of the first pause between attempts; it doubles."
    )
    retry_after_cap: float = Field(
        _LIMITS.retry_after_cap, ge=0, le=600, description="Longest Retry-After that is waited for, in seconds."
    )
    max_bytes: int = Field(_LIMITS.max_bytes, ge=1, description="Largest image file, in bytes.")
    max_pixels: int = Field(
        Settings(dataset="", destination="").max_pixels,
        ge=1,
        le=HIGHEST_MAX_PIXELS,
        description="Largest image, width times height, checked before it is decoded.",
    )
    max_redirects: int = Field(_LIMITS.max_redirects, ge=0, le=30, description="Redirects followed.")
    threads: int = Field(_LIMITS.threads, ge=1, le=128, description="Downloads at once in each running download step.")
    per_host: int = Field(
        _LIMITS.per_host, ge=1, le=128, description="Downloads at once from one host in each of those steps."
    )


class ShardConfig(dg.Config):
    """Which share of a manifest too large for one run this run relays. Written by the sensor `shards`."""

    coordinator: str = Field(pattern=r"^[A-Za-z0-9-]{1,64}$", description="The run that was cut into shards.")
    number: int = Field(ge=1, description="Which of the shards, from 1.")
    of: int = Field(ge=1, description="How many shards there are.")


class RelayOptions(dg.Config):
    """What a run is told beside where its URLs come from."""

    dataset: str | None = Field(
        None,
        description="Name under which results are kept from run to run. Default: the manifest's name, or adhoc.",
    )
    template: str = Field("frame.png", description="File name of the template in the template folder.")
    destination: str | None = Field(
        None,
        description="s3://bucket/prefix or a folder. Default: $IMGRELAY_DESTINATION, else the folder out.",
    )
    layout: LayoutConfig = Field(LayoutConfig(**{}), description="How the template is laid over the image.")
    output: OutputConfig = Field(OutputConfig(**{}), description="How the composed image is encoded.")
    download: DownloadConfig = Field(
        DownloadConfig(**{}), description="Limits on downloads; name only those that shall differ from their defaults."
    )
    tolerated_failure_percentage: float = Field(
        5.0, ge=0, le=100, description="The run fails when more than this share of entries failed, 0 to 100 %."
    )
    refresh: bool = Field(False, description="Relay again even what receipts say is done.")
    retry_permanent: bool = Field(
        False, description="Try again entries whose last failure was permanent (404, 410, not an image ...)."
    )
    verify: bool = Field(
        False, description="List the destination first; relay again what receipts call done but is gone."
    )
    urls_per_task: int | None = Field(
        None, ge=1, le=100_000, description="Entries in one task. Default: chosen from their number."
    )
    max_concurrent: int | None = Field(
        None,
        ge=1,
        le=MOST_CONCURRENT,
        description="Steps at once. Default: $IMGRELAY_MAX_CONCURRENT, else chosen from the cores.",
    )
    max_entries_per_run: int | None = Field(
        100_000,
        ge=1,
        description="With more entries left to do than this, the run asks for shard runs that share them, and relays "
        "nothing itself. null: one run, whatever the number.",
    )
    shard: ShardConfig | None = Field(None, description="Filled in by the sensor `shards`; leave it out.")

    def settings(self) -> Settings:
        """The engine's settings.

        Raises:
            RelayError: a value that only its own part can judge, such as a colour.
        """
        limits = self.download.model_dump(exclude={"max_pixels"})
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
            ),
            output=Output(
                format=Format(self.output.format),
                quality=self.output.quality,
                png_compress_level=self.output.png_compress_level,
                background=self.output.background,
            ),
            limits=Limits(**limits),
            max_pixels=self.download.max_pixels,
            tolerated_failure_percentage=self.tolerated_failure_percentage,
            refresh=self.refresh,
            retry_permanent=self.retry_permanent,
            verify=self.verify,
            urls_per_task=self.urls_per_task,
            max_concurrent=self.max_concurrent or default_max_concurrent(),
            max_entries_per_run=self.max_entries_per_run,
            shard=Shard(**self.shard.model_dump()) if self.shard else None,
        )

    @classmethod
    def checked(cls, values: dict[str, Any]) -> Self:
        """The form with its defaults settled, such as addresses made absolute.

        Raises:
            RelayError: a value is refused; the message names it and the way out.
        """
        _refuse_unknown(cls, values)
        try:
            form = cls(**values)
        except ValidationError as error:
            raise RelayError(_first_trouble(error)) from error
        settled = form.model_copy(update=form._settled())
        settled.settings()
        return settled

    def _settled(self) -> dict[str, Any]:
        """What the form says where it leaves something open."""
        if self.dataset is not None:
            check_dataset(self.dataset)
        destination = absolute(self.destination or default_destination())
        local_path_allowed("destination", destination, [default_destination()])
        check_reachable("destination", destination, "IMGRELAY_DESTINATION")
        return {"destination": destination, "max_concurrent": self.max_concurrent or default_max_concurrent()}


class RelayConfig(RelayOptions):
    """The whole form: where the URLs come from, and the options."""

    urls: list[str] = Field([], description="Image URLs. Give exactly one of urls, url_lines and manifest.")
    url_lines: str | None = Field(
        None,
        description="Image URLs as text, one a line: write `url_lines: |`, paste them on the lines below it, "
        "select those lines and press Tab, because YAML wants them indented.",
    )
    manifest: str | None = Field(
        SAMPLE_MANIFEST, description="Path or s3:// address of a manifest: .txt, .csv or .jsonl, each also .gz."
    )

    def _settled(self) -> dict[str, Any]:
        if self.shard is not None:  # its lines are in the coordinator's ledger
            return {**super()._settled(), "urls": [], "url_lines": None, "manifest": None}
        # A field that was emptied in the launchpad is one that was not given.
        url_lines, manifest = self.url_lines or None, self.manifest or None
        if manifest == SAMPLE_MANIFEST and (self.urls or url_lines):
            manifest = None
        _check_sources({"urls": self.urls, "url_lines": url_lines, "manifest": manifest})
        address = resolve_manifest(manifest) if manifest is not None else None
        if address is not None:
            check_reachable("manifest", address, "IMGRELAY_MANIFESTS")
        dataset = self.dataset if self.dataset is not None else (dataset_name(address) if address else ADHOC)
        return {**super()._settled(), "url_lines": url_lines, "manifest": address, "dataset": dataset}


def default_destination() -> str:
    """Where results go when the run config does not say."""
    return environment.DESTINATION.get()


def default_max_concurrent() -> int:
    """Steps at once when the run config does not say: `$IMGRELAY_MAX_CONCURRENT`, else one a core, at least two.

    Raises:
        RelayError: the variable holds no such number.
    """
    return environment.MAX_CONCURRENT.get() or max(2, len(os.sched_getaffinity(0)))


def checked_max_concurrent(given: int) -> int:
    """Steps at once as an executor's config has them; 0 stands for the default.

    Raises:
        RelayError: the number is out of range.
    """
    if not 0 <= given <= MOST_CONCURRENT:
        raise RelayError(f"max_concurrent {given} is not a number from 1 to {MOST_CONCURRENT}, nor 0 for the default")
    return given or default_max_concurrent()


def _check_sources(sources: dict[str, Any]) -> None:
    given = [name for name, value in sources.items() if value]
    if len(given) != 1:
        found = " and ".join(given) if given else "none of them"
        raise RelayError(f"give exactly one of urls, url_lines and manifest; the run config has {found}")


def _refuse_unknown(form: type[dg.Config], values: dict[str, Any], path: str = "") -> None:
    """Refuse names that the form does not have: Dagster does so in its launchpad, a config file comes past it."""
    for name, value in values.items():
        field = form.model_fields.get(name)
        if field is None:
            near = difflib.get_close_matches(str(name), form.model_fields, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(form.model_fields)}"
            raise RelayError(f"{path}{name} is no field of the run config; {hint}")
        if isinstance(value, dict) and isinstance(field.annotation, type) and issubclass(field.annotation, dg.Config):
            _refuse_unknown(field.annotation, value, f"{path}{name}.")


def _first_trouble(error: ValidationError) -> str:
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"])
    return f"{name}: {first['input']!r} is refused: {first['msg'].lower()}"
