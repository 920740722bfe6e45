"""What of a URL may be shown: never user info, never a query (signatures live there), never a fragment."""

import logging
import re

_AUTHORITY = re.compile(r"((?:[^:/\\@]*:)?[/\\]+)?([^/\\]*)")
_SOUND_PORT = re.compile(r"(?:[^:]*|\[[^\]]*\])(?::\d*)?")
_MOST_SHOWN = 300

_URL = re.compile(r"(?:[a-z][a-z0-9+.-]*:|[/\\]{2,})[^\s\"<>|`]+", re.IGNORECASE)
_CLOSING = re.compile(r"[')\],.;:]*$")
_QUERY = re.compile(r"\?[^\s\"'<>|`]*=[^\s\"'<>|`]*")
_SIGNING = re.compile(
    r"<(AWSAccessKeyId|StringToSign|StringToSignBytes|SignatureProvided|CanonicalRequest|CanonicalRequestBytes|Token)>"
    r".*?(?:</\1>|$)",
    re.DOTALL,
)


def redact(url: str) -> str:
    """Cut a URL down to what logs, details and the UI may show: scheme, host, port and path.

    Takes any text, also what is no URL, and never raises. Control characters are replaced and long text
    is cut at 300 characters, so that the result is safe to print on one line.
    """
    shown = re.split(r"[?#]", url.strip(), maxsplit=1)[0]
    authority = _AUTHORITY.match(shown)
    if authority and "@" in shown:
        end = authority.end()
        if not _SOUND_PORT.fullmatch(authority[2].rpartition("@")[2]):  # rather a password that holds a slash
            end = max(end, shown.rindex("@") + 1)
        begin = authority.end(1) if authority[1] else 0
        shown = shown[:begin] + shown[begin:end].rpartition("@")[2] + shown[end:]
    shown = printable(shown)
    return shown if len(shown) <= _MOST_SHOWN else shown[:_MOST_SHOWN] + "…"


def redact_text(text: str) -> str:
    """Cut the URLs within a message down as `redact` does; take out query strings, and what S3 quotes of a signature.

    The last gate of every message, whoever wrote it: a library or a store's server. The result is one line
    without control characters.
    """
    text = _SIGNING.sub(r"<\1>", text)
    return printable(_QUERY.sub(_closing, _URL.sub(_shown, text)))


def printable(text: str) -> str:
    """The text with line breaks and terminal escapes replaced, so that it stays on its line and harmless."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else "�" for char in text)


def _shown(url: re.Match[str]) -> str:
    closing = _closing(url)
    return redact(url[0].removesuffix(closing)) + closing


def _closing(found: re.Match[str]) -> str:
    """The marks at the end of a URL or query that belong to the sentence around it."""
    closing = _CLOSING.search(found[0])
    return closing[0] if closing else ""


class QueryFilter(logging.Filter):
    """Takes query strings out of a library's log records: urllib3 logs request targets at DEBUG.

    Changes records, drops none.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(arg.partition("?")[0] if isinstance(arg, str) else arg for arg in record.args)
        return True
