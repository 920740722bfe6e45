"""Is a URL sound, as far as its text shows."""

import re
from functools import lru_cache
from urllib.parse import SplitResult, urlsplit

from imgrelay_dagster.relay.errors import EntryFailure
from imgrelay_dagster.relay.outcomes import Reason

MAX_URL = 8192
"""Characters in a URL."""

HOSTS_KEPT = 1024
"""Hosts whose names are not looked into again: a manifest has few, and many URLs of each."""

_REFUSED = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]{0,19})://", re.IGNORECASE)
_HOST_AND_PORT = re.compile(r"(?:\[[^\[\]]+\]|[^\s\"#%/:<>?\[\\\]^`{|}]*)(?::[^:]*)?")


def check_url(url: str) -> None:
    """Prove that a URL can be asked for.

    Non-ASCII characters, and spaces in path and query, are fine: the downloader encodes them.

    Raises:
        EntryFailure: `bad_url`, when the scheme is not http or https, there is no host or none that can be
            looked up, the port is not 1 to 65535, there are control characters, line breaks or tabs, or more
            than 8,192 characters. The detail quotes nothing of the URL but its scheme.
    """
    why = _unsound_text(url) or _unsound_address(url)
    if why:
        raise EntryFailure(Reason.BAD_URL, why)


def _unsound_text(url: str) -> str | None:
    if len(url) > MAX_URL:
        return f"URL has {len(url):,} characters; at most {MAX_URL:,} are allowed"
    refused = _REFUSED.search(url)
    if refused:
        return f"URL holds U+{ord(refused[0]):04X}, which no URL may, at character {refused.start() + 1}"
    if url != url.strip():
        return "URL starts or ends with a space"
    return None


def _unsound_address(url: str) -> str | None:
    scheme = _SCHEME.match(url)
    if not scheme:
        return "URL does not start with http:// or https://"
    if scheme[1].lower() not in ("http", "https"):
        return f"URL scheme {scheme[1]!r} is not http or https"
    try:
        parts = urlsplit(url)
        return _unsound_host(parts.hostname or "", parts.netloc) or _unsound_port(parts)
    except ValueError:
        return "URL has a malformed host"


def _unsound_host(host: str, authority: str) -> str | None:
    if not host:
        return "URL has no host"
    if re.search(r"[\s\\]", authority) or not _HOST_AND_PORT.fullmatch(authority.rpartition("@")[2]):
        return "URL host holds a character that no host name has"
    if ":" not in host and not _can_be_looked_up(host):
        return "URL host has an empty or over-long part, or one that IDNA refuses"
    return None


def _unsound_port(parts: SplitResult) -> str | None:
    try:
        sound = parts.port != 0
    except ValueError:
        sound = False
    return None if sound else "URL port is not a number from 1 to 65535"


@lru_cache(maxsize=HOSTS_KEPT)
def _can_be_looked_up(host: str) -> bool:
    """Whether the resolver takes the name; for others `socket.getaddrinfo` raises UnicodeError."""
    try:
        return len(host.encode("idna")) <= 254
    except UnicodeError:
        return False
