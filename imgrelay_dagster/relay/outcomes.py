"""How an entry ended: the closed lists of outcomes and reasons, and the record that carries them."""

from dataclasses import dataclass, field
from enum import StrEnum


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


@dataclass(frozen=True, slots=True)
class Seconds:
    """Wall time an entry spent in each stage, in seconds."""

    download: float = 0.0
    compose: float = 0.0
    upload: float = 0.0


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the manifest that is to be relayed.

    `line` counts from 1, as an editor does; `template` is a file name inside the template folder.
    """

    line: int
    url: str
    key: str
    template: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Record:
    """An entry and how far it came. `outcome` is None while it is still on its way between stages.

    `bytes_in` is the size of the downloaded body; `bytes_out`, `width`, `height` (pixels) and `sha256` (hex)
    describe the stored object.
    """

    entry: Entry
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
    seconds: Seconds = field(default_factory=Seconds)
