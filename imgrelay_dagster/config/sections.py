"""The nested sections of the run config: layout, output, object, download, shard."""

from typing import Any, Literal

import dagster as dg
from pydantic import Field

from imgrelay_dagster.relay.fetch.downloader import Limits
from imgrelay_dagster.relay.imaging.compose import Output
from imgrelay_dagster.relay.imaging.decode import HIGHEST_MAX_PIXELS
from imgrelay_dagster.relay.settings import Settings, StopWhenFailed


class LayoutConfig(dg.Config):
    """How the template is laid over the image."""

    mode: Literal["frame", "watermark"] = Field(
        "frame", description="frame: the template covers the whole canvas. watermark: it is small, at `anchor`."
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
    ] = Field("south_east", description="watermark only: its position.")
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
    window: Any = Field(
        None,
        description="`canvas: template` only: the part of the template that the image is fitted to: auto (its largest "
        "hole), or x, y, width and height in pixels (40) or percent (12.5%). Default: all of it.",
    )
    focus: str = Field(
        "center", description="`fit: cover` only: the point that stays visible: an anchor, or shares such as 0.3,0.6."
    )
    scale_of: Literal["width", "height", "shorter", "longer"] = Field(
        "width", description="watermark only: the side of the image that scale and margin are a share of."
    )
    max_width: int | None = Field(
        None, ge=1, description="Not with `canvas: template`: a wider image is reduced to this width, in pixels."
    )
    max_height: int | None = Field(
        None, ge=1, description="Not with `canvas: template`: a higher image is reduced to this height, in pixels."
    )
    enlarge: bool = Field(False, description="Smaller images are enlarged to max_width or max_height.")
    min_width: int | None = Field(None, ge=1, description="Images of less width fail as too_small, in pixels.")
    min_height: int | None = Field(None, ge=1, description="Images of less height fail as too_small, in pixels.")


class JpegOptionsConfig(dg.Config):
    """Options of the JPEG encoder."""

    progressive: bool = Field(False, description="Shown coarse first while it loads; a little smaller.")
    subsampling: Literal["4:4:4", "4:2:2", "4:2:0"] = Field(
        "4:2:0", description="Resolution of the colours; 4:4:4 keeps the edges of coloured text sharp."
    )
    optimize: bool = Field(False, description="3 % smaller, at almost three times the time.")


class OutputConfig(dg.Config):
    """How the composed image is encoded."""

    format: Literal["jpeg", "png", "webp", "avif", "source"] = Field(
        "jpeg", description="Format of the stored images; source: that of each source if it is one of these, else jpeg."
    )
    quality: int = Field(85, ge=1, le=100, description="jpeg, webp and avif only: 1 (small) to 100 (good).")
    speed: int = Field(Output().speed, ge=0, le=10, description="avif only: 0 (small, slow) to 10 (fast).")
    max_output_bytes: int | None = Field(
        None, ge=1, description="jpeg, webp and avif only: a larger image is stored with less quality, in bytes."
    )
    min_quality: int = Field(
        Output().min_quality,
        ge=1,
        le=100,
        description="With max_output_bytes: an image too large even with this quality fails as output_too_large.",
    )
    keep: list[str] = Field(
        [],
        description="Metadata of the source to keep: copyright (EXIF copyright and artist), icc (its profile, in place "
        "of conversion to sRGB). Default: nothing.",
    )
    jpeg_options: JpegOptionsConfig = Field(JpegOptionsConfig(**{}), description="jpeg only: how it is encoded.")
    png_compress_level: int = Field(
        Output().png_compress_level, ge=0, le=9, description="png only: 0 (fast) to 9 (small)."
    )
    background: str = Field(
        "white",
        description="Colour beneath transparent pixels and beside a contained image, as in CSS: white, #a0b0c0.",
    )


class ObjectConfig(dg.Config):
    """What is stored with each image beside its bytes. A folder as destination can hold none of it."""

    cache_control: str | None = Field(
        None, description="Cache-Control header, such as public, max-age=31536000, immutable."
    )
    content_disposition: str | None = Field(None, description="Content-Disposition header, such as inline.")
    acl: str | None = Field(
        None, description="Canned ACL on s3:// and gs://, such as public-read or bucket-owner-full-control."
    )
    storage_class: str | None = Field(
        None, description="Storage class, such as STANDARD_IA; on az:// the access tier, such as Cool."
    )
    metadata: dict[str, str] = Field({}, description="Custom metadata by name; names and values in ASCII.")
    tags: dict[str, str] = Field({}, description="Object tags by name, on s3:// and az://, at most 10.")
    provenance: bool = Field(
        False, description="Add the run's ID, the entry's fingerprint and the source's SHA-256 digest as metadata."
    )


_LIMITS = Limits()


class DownloadConfig(dg.Config):
    """Limits on downloads from hosts that are not trusted."""

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
        _LIMITS.attempts, ge=1, le=10, description="How often a URL is tried, if its error may be temporary."
    )
    backoff: float = Field(
        _LIMITS.backoff,
        ge=0,
        le=60,
        description="Seconds of the first pause between two attempts; it doubles each time.",
    )
    retry_after_cap: float = Field(
        _LIMITS.retry_after_cap, ge=0, le=600, description="Longest Retry-After that is respected, in seconds."
    )
    max_bytes: int = Field(_LIMITS.max_bytes, ge=1, description="Largest image file, in bytes.")
    max_pixels: int = Field(
        Settings(dataset="", destination="").max_pixels,
        ge=1,
        le=HIGHEST_MAX_PIXELS,
        description="Largest image in pixels, width times height; checked before the image is decoded.",
    )
    max_redirects: int = Field(_LIMITS.max_redirects, ge=0, le=30, description="Maximum number of redirects.")
    threads: int = Field(
        _LIMITS.threads,
        ge=1,
        le=128,
        description="Concurrent downloads in each download step, at most: servers that answer late get more of them.",
    )
    per_host: int | None = Field(
        None,
        ge=1,
        le=128,
        description=f"Concurrent requests to one host, of the whole run. Default: {_LIMITS.per_host} in each step.",
    )
    max_requests_per_second: float | None = Field(
        None,
        gt=0,
        le=100_000,
        description="Requests per second to one host, of the whole run. Default: as many as the host bears.",
    )
    user_agent: str | None = Field(
        None, description="User-Agent of requests. Default: imgrelay and its version, and $IMGRELAY_CONTACT."
    )
    headers: dict[str, str] = Field(
        {},
        description="More headers of requests to all hosts, such as Referer. Not for secrets, which everybody could "
        "read here: those go into $IMGRELAY_ORIGIN_SETTINGS.",
    )


class ColumnsConfig(dg.Config):
    """Which columns of the manifest hold what. A column that is not named here is found by its usual name."""

    url: str | None = Field(
        None,
        description="Column of the image URLs. Default: the one called url, image_url, image_link, image, Image Src, "
        "src, images or the like, in any case.",
    )
    key: str | None = Field(None, description="Column of the keys of stored images. Default: key.")
    template: str | None = Field(None, description="Column of the templates. Default: template.")
    sha256: str | None = Field(None, description="Column of the images' SHA-256 digests. Default: sha256.")
    md5: str | None = Field(None, description="Column of the images' MD5 digests. Default: md5.")
    size: str | None = Field(None, description="Column of the images' sizes in bytes. Default: size.")
    fallback_url: str | None = Field(
        None, description="Column of mirrors, which are tried when the URL fails. Default: fallback_url."
    )
    focus: str | None = Field(
        None, description="Column of the points that `fit: cover` keeps, as in layout.focus. Default: focus."
    )
    split: str | None = Field(
        None,
        description="What separates several URLs in one cell, such as a comma, | or a line break. Each URL becomes an "
        "entry of its own. Default: a cell holds one URL.",
    )
    encoding: str | None = Field(
        None, description="Encoding of a text format, such as cp1252. Default: UTF-8, or UTF-16 with its mark."
    )
    skip_empty: bool = Field(False, description="Leave out rows whose cell of URLs is empty.")


class StopWhenFailedConfig(dg.Config):
    """When a run that clearly goes wrong ends early."""

    percentage: float = Field(
        StopWhenFailed().percentage, ge=0, le=100, description="The run ends when more than this share has failed."
    )
    after: int = Field(
        StopWhenFailed().after, ge=1, description="But not before this number of entries has been asked for."
    )


class ShardConfig(dg.Config):
    """The part of a large manifest that this shard run relays. The sensor `shards` fills it in."""

    coordinator: str = Field(pattern=r"^[A-Za-z0-9-]{1,64}$", description="The run that was split into shards.")
    number: int = Field(ge=1, description="Number of the shard, from 1.")
    of: int = Field(ge=1, description="Number of all shards.")
