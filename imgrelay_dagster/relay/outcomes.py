"""Outcomes, reasons and stages of an entry (closed lists), and its record."""

from dataclasses import dataclass, field, replace
from enum import StrEnum
from http import HTTPStatus
from operator import attrgetter
from typing import Any, Self


class Outcome(StrEnum):
    """How one entry ended. Every manifest line has exactly one outcome."""

    UPLOADED = "uploaded"
    UNCHANGED = "unchanged"
    FAILED = "failed"
    NOT_ATTEMPTED = "not_attempted"


class Reason(StrEnum):
    """Why an entry failed. A closed list: users filter and alert on these values."""

    INVALID_ENTRY = "invalid_entry"
    BAD_URL = "bad_url"
    KEY_CONFLICT = "key_conflict"
    BLOCKED_ADDRESS = "blocked_address"
    DNS_ERROR = "dns_error"
    CONNECT_ERROR = "connect_error"
    TLS_ERROR = "tls_error"
    TIMEOUT = "timeout"
    HTTP_STATUS = "http_status"
    NOT_FOUND = "not_found"
    ACCESS_DENIED = "access_denied"
    TOO_MANY_REDIRECTS = "too_many_redirects"
    TOO_LARGE = "too_large"
    TRUNCATED = "truncated"
    EMPTY_BODY = "empty_body"
    UNSUPPORTED_FORMAT = "unsupported_format"
    TOO_MANY_PIXELS = "too_many_pixels"
    TOO_SMALL = "too_small"
    CORRUPT_IMAGE = "corrupt_image"
    TOO_COSTLY = "too_costly"
    TEMPLATE_MISSING = "template_missing"
    CHECKSUM_MISMATCH = "checksum_mismatch"
    REJECTED_SOURCE = "rejected_source"
    COMPOSE_ERROR = "compose_error"
    OUTPUT_TOO_LARGE = "output_too_large"
    UPLOAD_ERROR = "upload_error"
    INTERNAL_ERROR = "internal_error"


class Stage(StrEnum):
    """The three stages of an entry, in order."""

    DOWNLOAD = "download"
    COMPOSE = "compose"
    UPLOAD = "upload"


@dataclass(frozen=True, slots=True)
class Seconds:
    """Wall-clock time that an entry spent in each stage, in seconds."""

    download: float = 0.0
    compose: float = 0.0
    upload: float = 0.0

    def __reduce__(self) -> tuple[Any, ...]:
        return Seconds, (self.download, self.compose, self.upload)


@dataclass(frozen=True, slots=True)
class EarlierImage:
    """The image that an earlier run stored for an entry that is asked for again; it stays if its source is unchanged.

    The fields are those of its record.
    """

    source_sha256: str | None
    served_url: str | None
    validators: dict[str, str]
    frames: int | None
    bytes_in: int | None
    bytes_out: int | None
    width: int | None
    height: int | None
    sha256: str | None
    quality: int | None = None
    key: str | None = None
    planned_key: str | None = None

    @classmethod
    def of(cls, receipt: "Record") -> Self:
        """The image of an entry that was done when it got this receipt."""
        found = cls(**{name: getattr(receipt, name) for name in cls.__slots__})
        before = receipt.earlier  # set if that run downloaded nothing, because nothing had changed
        return found if before is None or receipt.bytes_in else replace(found, bytes_in=before.bytes_in)

    def keep(self, record: "Record") -> "Record":
        """The record of the entry, now that this image stays."""
        values = {name: getattr(self, name) for name in self.__slots__ if name != "bytes_in"}
        return changed(record, outcome=Outcome.UNCHANGED, **{**values, "key": self.key or record.key})


@dataclass(frozen=True, slots=True)
class Record:
    """One manifest line and its state; the fields up to `seconds` are those of `results.jsonl`.

    `outcome` is None until the entry has ended. `line` is the line number, starting at 1. `bytes_in` is the size of
    the downloaded body; `bytes_out`, `width`, `height` (pixels) and `sha256` (hex) describe the stored object.
    `template` is a file name inside the template folder. `at` is the time at which the entry ended, in seconds since
    the epoch. `decoder` is the version of the decoders that refused the image. `source_sha256` (hex) is of the
    downloaded body.

    `part` is the number of the URL in its cell, from 1, when the line has several; otherwise 0. `given_url` is the text
    in the manifest, if the URL was mended. `carried` has the values of the columns that are carried along. `served_url`
    is the one of `fallback_urls` that served the image; None if it was `url`. `frames` is the number of frames of the
    source, the first of which is shown. `quality` is that of the stored object, if its format is lossy. `expected` is
    what the image must be (`sha256`, `md5`, `size`). `focus` is the entry's own, in place of the layout's.
    `planned_key` is the key before its extension was known (`open_keys.py`), if it had an open one.
    `validators` are the ETag and the time of the last change (`etag`, `last_modified`) that the source was served with.
    `earlier` is set if the entry is asked for again although it was done.
    """

    line: int
    url: str
    key: str | None = None
    outcome: Outcome | None = None
    reason: Reason | None = None
    detail: str | None = None
    attempts: int = 0
    http_status: int | None = None
    bytes_in: int | None = None
    bytes_out: int | None = None
    width: int | None = None
    height: int | None = None
    sha256: str | None = None
    fingerprint: str | None = None
    seconds: Seconds = field(default_factory=Seconds)
    template: str | None = None
    at: float | None = None
    decoder: str | None = None
    source_sha256: str | None = None
    part: int = 0
    given_url: str | None = None
    carried: dict[str, str] = field(default_factory=dict)
    served_url: str | None = None
    frames: int | None = None
    quality: int | None = None
    expected: dict[str, str] = field(default_factory=dict)
    fallback_urls: tuple[str, ...] = ()
    validators: dict[str, str] = field(default_factory=dict)
    earlier: EarlierImage | None = None
    focus: str | None = None
    planned_key: str | None = None

    @property
    def key_identity(self) -> str | None:
        """The key by which the entry is known from run to run: as it was planned."""
        return self.planned_key or self.key

    @property
    def entry(self) -> int:
        """Identifies the entry in its run. Entries in the order of the manifest have ascending numbers."""
        return entry_number(self.line, self.part)

    def __reduce__(self) -> tuple[Any, ...]:
        """Steps pickle thousands of records; this takes half the time of the default for a dataclass with slots."""
        return Record, _fields(self)


MOST_PARTS = 1 << 12
"""Entries that one line may have, and one more."""


def entry_number(line: int, part: int) -> int:
    """The number of an entry from its line and its part of the line."""
    return line * MOST_PARTS + part


_fields = attrgetter(*Record.__slots__)
_setters = tuple(getattr(Record, name).__set__ for name in Record.__slots__)


def changed(record: Record, **values: Any) -> Record:
    """The record with other values, in a third of the time that `dataclasses.replace` takes.

    Raises:
        AttributeError: a record has no such field.
    """
    copy = object.__new__(Record)
    for set_value, value in zip(_setters, _fields(record), strict=True):
        set_value(copy, value)
    for name, value in values.items():
        object.__setattr__(copy, name, value)
    return copy


PERMANENT_REASONS = frozenset(
    {
        Reason.NOT_FOUND,
        Reason.TOO_LARGE,
        Reason.TOO_MANY_REDIRECTS,
        Reason.UNSUPPORTED_FORMAT,
        Reason.TOO_MANY_PIXELS,
        Reason.TOO_SMALL,
        Reason.CORRUPT_IMAGE,
        Reason.TOO_COSTLY,
        Reason.COMPOSE_ERROR,
        Reason.OUTPUT_TOO_LARGE,
    }
)
"""Reasons for which a later download of the same URL would fail again. Reasons found by the planner are not listed:
finding them again needs no request."""

ENHANCE_YOUR_CALM, BANDWIDTH_EXCEEDED = 420, 509
"""Statuses of no standard by which some servers say that there are too many requests."""

TRANSIENT_STATUSES = frozenset(
    {HTTPStatus.REQUEST_TIMEOUT, ENHANCE_YOUR_CALM, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}
)
"""The client errors (4xx) for which a retry may succeed: 408, 420, 425 and 429."""


ACCESS_STATUSES = frozenset(
    {
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.FORBIDDEN,
        HTTPStatus.PROXY_AUTHENTICATION_REQUIRED,
        HTTPStatus.UNAVAILABLE_FOR_LEGAL_REASONS,
    }
)
"""The client errors that are no property of the image: they end with new credentials, another proxy or a better hour.
A retry in the same run is useless, but the next launch asks again."""

NOT_ASKED = "not asked in this run"
"""How the detail of an entry begins whose earlier failure is remembered."""


def is_permanent(record: Record) -> bool:
    """Whether a failed entry would fail again on every later launch (404, 410, not an image ...)."""
    if record.reason is Reason.HTTP_STATUS:
        status = record.http_status or 0
        return 400 <= status < 500 and status not in TRANSIENT_STATUSES | ACCESS_STATUSES
    return record.reason in PERMANENT_REASONS


MEANINGS: dict[Reason, str] = {
    Reason.INVALID_ENTRY: "The line cannot be parsed, or its key is unsafe. Correct the line.",
    Reason.BAD_URL: "The URL is not an http or https URL with a host. Correct the URL.",
    Reason.KEY_CONFLICT: "An earlier line, or another dataset, uses the same key for something else. "
    "Give one of them another key.",
    Reason.BLOCKED_ADDRESS: "The host has an address that is not public. "
    "If it is an intranet host, add it to IMGRELAY_ALLOWED_HOSTS.",
    Reason.DNS_ERROR: "The host name has no address. Check the host name.",
    Reason.CONNECT_ERROR: "No server answers at the address, or it does not speak valid HTTP. "
    "Check that the server is running.",
    Reason.TLS_ERROR: "The certificate is not valid for the host. "
    "Correct the certificate, or install its certificate authority.",
    Reason.TIMEOUT: "Connecting, a silence of the server or the whole download took too long. "
    "Launch again, or raise the limits in download.",
    Reason.HTTP_STATUS: "The server refused the request. 404 and 410: the image no longer exists. "
    "429 and 5xx: launch again later.",
    Reason.NOT_FOUND: "The store or the folder has no such original. Correct the address, then set retry_permanent.",
    Reason.ACCESS_DENIED: "The credentials do not allow reading the original, or IMGRELAY_ORIGINALS does not list it.",
    Reason.TOO_MANY_REDIRECTS: "More redirects than max_redirects, or a redirect loop. Correct the URL.",
    Reason.TOO_LARGE: "Larger than download.max_bytes. If the file is right, raise the limit and set retry_permanent.",
    Reason.TRUNCATED: "The response body ended too early. Launch again.",
    Reason.EMPTY_BODY: "The server returned a successful response without a body. "
    "Launch again, or contact the server's operator.",
    Reason.UNSUPPORTED_FORMAT: "Not a picture of a supported format; often an HTML page instead. "
    "The detail says what it looks like.",
    Reason.TOO_MANY_PIXELS: "More pixels than download.max_pixels. "
    "Unless it is a decompression bomb, raise the limit and set retry_permanent.",
    Reason.TOO_SMALL: "Smaller than layout.min_width or layout.min_height. Ask for a larger original.",
    Reason.CORRUPT_IMAGE: "The image cannot be decoded.",
    Reason.TOO_COSTLY: "Decoding the image takes too much time or memory, or it has more parts than an image needs.",
    Reason.TEMPLATE_MISSING: "The entry's own template is not in the template folder, or is broken.",
    Reason.CHECKSUM_MISMATCH: "The image is not the one that the manifest's sha256, md5 or size describes. "
    "Correct the manifest, or restore the image on its server.",
    Reason.REJECTED_SOURCE: "The server sent one of the images in reject_sources, such as a placeholder.",
    Reason.COMPOSE_ERROR: "The result cannot be encoded. Choose another format or canvas.",
    Reason.OUTPUT_TOO_LARGE: "Larger than output.max_output_bytes, even with output.min_quality. "
    "Lower min_quality, or limit the size of images with layout.",
    Reason.UPLOAD_ERROR: "The store did not accept the image, after retries. The detail quotes the store's error.",
    Reason.INTERNAL_ERROR: "Memory ran out, or there is a bug in imgrelay. The detail says which; please report a bug.",
}
"""What happened and what to do, in a sentence or two."""
