"""Checks that the text of a URL is valid."""

import re
from functools import lru_cache
from urllib.parse import SplitResult, urlsplit

from imgrelay_dagster.relay.errors import EntryFailure
from imgrelay_dagster.relay.outcomes import Reason

MAX_URL = 8192
"""Maximum characters in a URL."""

HOST_CACHE_SIZE = 1024
"""Hosts of which is remembered what was found out: a manifest has few hosts, and many URLs of each."""

_FORBIDDEN_CHARACTER = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]{0,19})://", re.IGNORECASE)
_SITE = re.compile("[^/?#]*//([^/?#]*)")
_HOST_AND_PORT = re.compile(r"(?:\[[^\[\]]+\]|[^\s\"#%/:<>?\[\\\]^`{|}]*)(?::[^:]*)?")


def authority_of(url: str) -> str:
    """Host, port and user info of a URL as they are written; empty for a text that has none."""
    site = _SITE.match(url)
    return site[1] if site else ""


def check_url(url: str) -> None:
    """Check that a URL can be requested.

    Non-ASCII characters, and spaces in path and query, are allowed: the downloader encodes them.

    Raises:
        EntryFailure: `bad_url`, when the scheme is not http or https, the host is missing or not a valid host name,
            the port is not 1 to 65535, or the URL has control characters, line breaks, tabs or more than 8,192
            characters. The detail quotes only the scheme of the URL.
    """
    problem = _find_text_problem(url) or _find_address_problem(url)
    if problem:
        raise EntryFailure(Reason.BAD_URL, problem)


def _find_text_problem(url: str) -> str | None:
    if len(url) > MAX_URL:
        return f"URL has {len(url):,} characters; at most {MAX_URL:,} are allowed"
    forbidden = _FORBIDDEN_CHARACTER.search(url)
    if forbidden:
        return f"URL contains U+{ord(forbidden[0]):04X}, which is not allowed, at character {forbidden.start() + 1}"
    if url != url.strip():
        return "URL starts or ends with a space"
    return None


def _find_address_problem(url: str) -> str | None:
    scheme = _SCHEME.match(url)
    if not scheme:
        return "URL does not start with http:// or https://"
    if scheme[1].lower() not in ("http", "https"):
        return f"URL scheme {scheme[1]!r} is not http or https"
    return _find_authority_problem(authority_of(url))


@lru_cache(maxsize=HOST_CACHE_SIZE)
def _find_authority_problem(authority: str) -> str | None:
    try:
        parts = urlsplit(f"//{authority}")
        return _find_host_problem(parts.hostname or "", parts.netloc) or _find_port_problem(parts)
    except ValueError:
        return "URL has a malformed host"


def _find_host_problem(host: str, authority: str) -> str | None:
    if not host:
        return "URL has no host"
    if re.search(r"[\s\\]", authority) or not _HOST_AND_PORT.fullmatch(authority.rpartition("@")[2]):
        return "URL host contains a character that is not allowed in host names"
    if ":" not in host and not _is_valid_host_name(host):
        return "URL host has an empty or too long label, or one that is not valid in IDNA"
    return None


def _find_port_problem(parts: SplitResult) -> str | None:
    try:
        valid = parts.port != 0
    except ValueError:
        valid = False
    return None if valid else "URL port is not a number from 1 to 65535"


@lru_cache(maxsize=HOST_CACHE_SIZE)
def _is_valid_host_name(host: str) -> bool:
    """Whether the resolver accepts the name; for others `socket.getaddrinfo` raises UnicodeError."""
    try:
        return len(host.encode("idna")) <= 254
    except UnicodeError:
        return False
