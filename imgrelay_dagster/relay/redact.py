"""Removes secrets from URLs and messages: user info, query strings (they hold signatures) and fragments."""

import logging
import re

_AUTHORITY = re.compile(r"((?:[^:/\\@]*:)?[/\\]+)?([^/\\]*)")
_VALID_HOST_AND_PORT = re.compile(r"(?:[^:]*|\[[^\]]*\])(?::\d*)?")
_MAX_SHOWN = 300

_URL = re.compile(r"(?:[a-z][a-z0-9+.-]*:|[/\\]{2,})[^\s\"<>|`]+", re.IGNORECASE)
_TRAILING_PUNCTUATION = re.compile(r"[')\],.;:]*$")
_QUERY = re.compile(r"\?[^\s\"'<>|`]*=[^\s\"'<>|`]*")
_SIGNATURE_ELEMENT = re.compile(
    r"<(AWSAccessKeyId|StringToSign|StringToSignBytes|SignatureProvided|CanonicalRequest|CanonicalRequestBytes|Token)>"
    r".*?(?:</\1>|$)",
    re.DOTALL,
)


def redact(url: str) -> str:
    """Reduce a URL to what logs, details and the UI may show: scheme, host, port and path.

    Accepts any text, also text that is not a URL, and never raises. Control characters are replaced and the result is
    cut to 300 characters, so it is safe to print on one line.
    """
    shown = re.split(r"[?#]", url.strip(), maxsplit=1)[0]
    authority = _AUTHORITY.match(shown)
    if authority and "@" in shown:
        end = authority.end()
        if not _VALID_HOST_AND_PORT.fullmatch(authority[2].rpartition("@")[2]):  # a password may contain a slash
            end = max(end, shown.rindex("@") + 1)
        start = authority.end(1) if authority[1] else 0
        shown = shown[:start] + shown[start:end].rpartition("@")[2] + shown[end:]
    shown = printable(shown)
    return shown if len(shown) <= _MAX_SHOWN else shown[:_MAX_SHOWN] + "…"


def redact_text(text: str) -> str:
    """Apply `redact` to the URLs in a message; remove query strings, and the signature elements of S3 errors.

    Messages of entries and runs pass through this function, also those of libraries and servers. The result
    is one line without control characters.
    """
    text = _SIGNATURE_ELEMENT.sub(r"<\1>", text)
    return printable(_QUERY.sub(_trailing_punctuation, _URL.sub(_redact_match, text)))


def redact_key(key: str) -> str:
    """A key as reports show it. No valid key has an empty part, but a manifest may have a URL in place of its key."""
    return redact_text(key) if "//" in key else key


def printable(text: str) -> str:
    """Replace line breaks, terminal escapes and other unprintable characters with U+FFFD."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else "�" for char in text)


def _redact_match(url: re.Match[str]) -> str:
    punctuation = _trailing_punctuation(url)
    return redact(url[0].removesuffix(punctuation)) + punctuation


def _trailing_punctuation(match: re.Match[str]) -> str:
    """The punctuation at the end of a URL or query that belongs to the surrounding sentence."""
    punctuation = _TRAILING_PUNCTUATION.search(match[0])
    return punctuation[0] if punctuation else ""


class QueryFilter(logging.Filter):
    """Removes query strings from a library's log records: urllib3 logs request targets at DEBUG.

    It changes records and never removes one.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(arg.partition("?")[0] if isinstance(arg, str) else arg for arg in record.args)
        return True
