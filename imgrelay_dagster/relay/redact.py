"""What of a URL may be shown: never user info, never a query (signatures live there), never a fragment."""

import logging
import re

_AUTHORITY = re.compile(r"((?:[^:/\\]*:)?//)?([^/\\]*)")
_MOST_SHOWN = 300


def redact(url: str) -> str:
    """Cut a URL down to what logs, details and the UI may show: scheme, host, port and path.

    Takes any text, also what is no URL, and never raises. Control characters are replaced and long text
    is cut at 300 characters, so that the result is safe to print on one line.
    """
    shown = re.split(r"[?#]", url.strip(), maxsplit=1)[0]
    authority = _AUTHORITY.match(shown)
    if authority and "@" in authority[2]:
        host = authority[2].rpartition("@")[2]
        shown = f"{authority[1] or ''}{host}{shown[authority.end() :]}"
    shown = "".join(char if char.isprintable() else "�" for char in shown)
    return shown if len(shown) <= _MOST_SHOWN else shown[:_MOST_SHOWN] + "…"


class QueryFilter(logging.Filter):
    """Takes query strings out of a library's log records: urllib3 logs request targets at DEBUG.

    Changes records, drops none.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(arg.partition("?")[0] if isinstance(arg, str) else arg for arg in record.args)
        return True
