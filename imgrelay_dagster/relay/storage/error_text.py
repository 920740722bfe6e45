"""Errors of stores: one plain line of text for each, and the few kinds that the engine distinguishes.

obstore's own text names the request, its duration and the retries, quotes the XML of the response, and hides the cause
of a failed connection in a debug dump. A user needs the response and the cause.
"""

import re
from urllib.parse import urlsplit

from imgrelay_dagster.relay.redact import redact_text

_DUMP = "\n\nDebug source"
_REQUEST = re.compile(r"Error performing \w+ (\S+) in ")
_STATUS = re.compile(r"status code: (\d{3})[ \w-]*")
_CODE = re.compile(r"<Code>([^<]+)</Code>")
_MESSAGE = re.compile(r"<Message>([^<]+)</Message>")
_PREFIX = re.compile(r"Generic \w+ error: ")
_NO_SPACE = "os error 28"  # ENOSPC

_CAUSES = (
    (re.compile(r'message: "([^"]+)"'), None),  # the operating system's text, such as "Connection refused"
    (re.compile(r"failed to lookup address information: ([^\"]+)"), None),
    (re.compile(r"invalid peer certificate: ([^\"]+)|InvalidCertificate\("), "its certificate is not valid"),
    (re.compile(r"InvalidMessage\("), "it does not speak TLS; write http in place of https"),
    (re.compile(r"kind: Timeout|TimedOut"), "no answer in time"),
)
"""Patterns in the debug dump of a failed connection, most reliable first, each with its text (None: as found)."""


def explain(error: BaseException) -> str:
    """A store's error as one plain line of at most 300 characters, without credentials."""
    return redact_text(error_text(str(error)))[:300] or type(error).__name__


def is_missing_bucket(error: BaseException) -> bool:
    """Whether S3 says that the bucket itself does not exist."""
    return "<Code>NoSuchBucket</Code>" in str(error)


def is_disk_full(error: BaseException) -> bool:
    """Whether a store's error says that no space is left on the disk."""
    return _NO_SPACE in str(error) or getattr(error, "errno", None) == 28


def error_text(text: str) -> str:
    """The text of an obstore error as one plain line. An unknown text is returned without its debug dump."""
    message, _, dump = text.partition(_DUMP)
    request = _REQUEST.search(message)
    if request is None:
        return " ".join(_PREFIX.sub("", message, count=1).split())
    parts = urlsplit(request[1])
    server = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    status = _STATUS.search(message)
    if status is None:
        return f"{server} cannot be reached: {_cause(dump) or 'the connection broke off'}"
    details = ": ".join(found[1].strip() for tag in (_CODE, _MESSAGE) if (found := tag.search(message)))
    suffix = f" ({' '.join(details.split())})" if details else ""
    return f"{server} answers {' '.join(status[0].split()[2:])}{suffix}"


def _cause(dump: str) -> str | None:
    for pattern, text in _CAUSES:
        found = pattern.search(dump)
        if found:
            return text or found[1]
    return None
