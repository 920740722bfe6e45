"""How an entry ended: the closed lists of outcomes and reasons, and the record that carries them."""

from dataclasses import dataclass, field
from enum import StrEnum
from http import HTTPStatus
from operator import attrgetter
from typing import Any


class Outcome(StrEnum):
    """How one entry ended. Every manifest line ends in exactly one of these."""

    UPLOADED = "uploaded"
    UNCHANGED = "unchanged"
    FAILED = "failed"
    NOT_ATTEMPTED = "not_attempted"


class Reason(StrEnum):
    """Why an entry failed. A closed list: users filter and alert on these words."""

    INVALID_ENTRY = "invalid_entry"
    BAD_URL = "bad_url"
    KEY_CONFLICT = "key_conflict"
    BLOCKED_ADDRESS = "blocked_address"
    DNS_ERROR = "dns_error"
    CONNECT_ERROR = "connect_error"
    TLS_ERROR = "tls_error"
    TIMEOUT = "timeout"
    HTTP_STATUS = "http_status"
    TOO_MANY_REDIRECTS = "too_many_redirects"
    TOO_LARGE = "too_large"
    TRUNCATED = "truncated"
    EMPTY_BODY = "empty_body"
    UNSUPPORTED_FORMAT = "unsupported_format"
    TOO_MANY_PIXELS = "too_many_pixels"
    CORRUPT_IMAGE = "corrupt_image"
    TEMPLATE_MISSING = "template_missing"
    COMPOSE_ERROR = "compose_error"
    UPLOAD_ERROR = "upload_error"
    INTERNAL_ERROR = "internal_error"


class Stage(StrEnum):
    """The three stages that an entry passes through."""

    DOWNLOAD = "download"
    COMPOSE = "compose"
    UPLOAD = "upload"


@dataclass(frozen=True, slots=True)
class Seconds:
    """Wall time that an entry spent in each stage, in seconds."""

    download: float = 0.0
    compose: float = 0.0
    upload: float = 0.0

    def __reduce__(self) -> tuple[Any, ...]:
        return Seconds, (self.download, self.compose, self.upload)


@dataclass(frozen=True, slots=True)
class Record:
    """One manifest line and how far it came; the fields up to `seconds` are those of `results.jsonl`.

    `outcome` is None while the entry is on its way between stages. `line` counts from 1, as an editor does.
    `bytes_in` is the size of the downloaded body; `bytes_out`, `width`, `height` (pixels) and `sha256` (hex)
    describe the stored object. `template` is a file name inside the template folder, and `at` the time the
    entry ended, in seconds since the epoch.
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

    def __reduce__(self) -> tuple[Any, ...]:
        """Handed from step to step by the thousand: in half the time that a dataclass with slots takes otherwise."""
        return Record, _fields(self)


_fields = attrgetter(*Record.__slots__)

PERMANENT_REASONS = frozenset(
    {
        Reason.TOO_LARGE,
        Reason.TOO_MANY_REDIRECTS,
        Reason.UNSUPPORTED_FORMAT,
        Reason.TOO_MANY_PIXELS,
        Reason.CORRUPT_IMAGE,
        Reason.COMPOSE_ERROR,
    }
)
"""Reasons that the same URL will meet again tomorrow. What plan itself refuses is not here: it asks nobody."""

TRANSIENT_STATUSES = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})
"""The client errors (4xx) that are worth another request: 408, 425 and 429."""


def is_permanent(record: Record) -> bool:
    """Whether a failed record would fail again however often it is tried (404, 410, not an image ...)."""
    if record.reason is Reason.HTTP_STATUS:
        status = record.http_status or 0
        return 400 <= status < 500 and status not in TRANSIENT_STATUSES
    return record.reason in PERMANENT_REASONS


MEANINGS: dict[Reason, str] = {
    Reason.INVALID_ENTRY: "The line cannot be read, or its key is unsafe. Mend the line.",
    Reason.BAD_URL: "Not an http or https URL with a host. Mend the URL.",
    Reason.KEY_CONFLICT: "An earlier line claims the same key for something else. Give one of them another key.",
    Reason.BLOCKED_ADDRESS: "The host is at an address that is not public. "
    "If it is one of an intranet, name it in IMGRELAY_ALLOWED_HOSTS.",
    Reason.DNS_ERROR: "The host's name has no address. Check the host name.",
    Reason.CONNECT_ERROR: "Nobody answers there, or not by the rules of HTTP. Is the server up?",
    Reason.TLS_ERROR: "The certificate is not valid for the host. Mend it, or install its authority's.",
    Reason.TIMEOUT: "Too slow: connecting, silence, or the whole download. "
    "Launch again, or raise the limits in download.",
    Reason.HTTP_STATUS: "The server refused. 404 and 410: the image is gone. 429 and 5xx: launch again later.",
    Reason.TOO_MANY_REDIRECTS: "More redirects than max_redirects, or in a circle. Mend the URL.",
    Reason.TOO_LARGE: "Larger than download.max_bytes. If the file is right, raise it and set retry_permanent.",
    Reason.TRUNCATED: "The body broke off before its end. Launch again.",
    Reason.EMPTY_BODY: "The server said all is well and sent nothing. Launch again, or ask the server's people.",
    Reason.UNSUPPORTED_FORMAT: "Not a JPEG, PNG, WebP, GIF or AVIF; often an HTML page in the place of an image.",
    Reason.TOO_MANY_PIXELS: "More pixels than download.max_pixels. If it is no bomb, raise it and set retry_permanent.",
    Reason.CORRUPT_IMAGE: "An image that cannot be decoded.",
    Reason.TEMPLATE_MISSING: "The entry's own template is not in the template folder, or broken.",
    Reason.COMPOSE_ERROR: "The result cannot be encoded. Choose another format or canvas.",
    Reason.UPLOAD_ERROR: "The store did not take the image, after retries. The detail has the store's words.",
    Reason.INTERNAL_ERROR: "A mistake in imgrelay. Please report it, with the detail.",
}
"""What happened and what to do, in a sentence or two."""
