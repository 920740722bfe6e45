"""Conditional requests (RFC 9110 13): asking for an image only if it has changed since an earlier run."""

import re
from collections.abc import Mapping
from types import MappingProxyType

ETAG, LAST_MODIFIED = "etag", "last_modified"
"""Names of the validators in receipts."""

NO_VALIDATORS: Mapping[str, str] = MappingProxyType({})

NOT_MODIFIED = 304

_PATTERNS = {
    # RFC 9110 8.8.3; servers that leave out the quotation marks compare what they get with what they sent.
    ETAG: re.compile(r"[\x21-\x7e\x80-\xff]{1,512}"),
    LAST_MODIFIED: re.compile(r"[\x20-\x7e]{1,64}"),
}
_RESPONSE_NAMES = {ETAG: "ETag", LAST_MODIFIED: "Last-Modified"}
_REQUEST_NAMES = {ETAG: "If-None-Match", LAST_MODIFIED: "If-Modified-Since"}


def validators_of(headers: Mapping[str, str]) -> dict[str, str]:
    """The validators of a response. Those that are too long, or cannot be sent back, are left out."""
    found = {name: headers.get(header, "") for name, header in _RESPONSE_NAMES.items()}
    return {name: value for name, value in found.items() if _PATTERNS[name].fullmatch(value)}


def conditional_headers(validators: Mapping[str, str]) -> dict[str, str]:
    """The headers that ask for an image only if it is another one now. Validators that cannot be sent are left out."""
    return {
        header: value
        for name, header in _REQUEST_NAMES.items()
        if (value := validators.get(name)) is not None and _PATTERNS[name].fullmatch(value)
    }
