"""Prepares URLs for requests: the request target exactly as written, the origin, and the credentials."""

import base64
import re
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote, unquote

from requests.exceptions import RequestException
from requests.models import PreparedRequest
from urllib3.exceptions import HTTPError
from urllib3.util import parse_url

from imgrelay_dagster.relay.errors import EntryFailure
from imgrelay_dagster.relay.outcomes import Reason
from imgrelay_dagster.relay.redact import redact
from imgrelay_dagster.relay.urls import HOST_CACHE_SIZE, check_url

_DEFAULT_PORTS = {"http": 80, "https": 443}

# What browsers encode in paths and queries (URL Standard, path and special-query percent-encode sets). Everything else
# is sent as it is written: signatures are computed over that spelling.
_SAFE_PATH = "!$%&'()*+,-./:;=@[]_|~"
_SAFE_QUERY = "!$%&()*+,-./:;=?@[]^_`{|}~"
_IGNORED_IN_LOCATION = dict.fromkeys(map(ord, "\t\n\r"))  # as browsers do (URL Standard 4.4)
_NO_ESCAPE = re.compile("%(?![0-9A-Fa-f]{2})")
_PARTS = re.compile(r"(?P<scheme>[a-zA-Z][a-zA-Z0-9+.-]*:)?(?P<authority>//[^/?#\\]*)?(?P<rest>[^#]*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Target:
    """A URL prepared for a request.

    `path` is path and query as the request line names them: as they are written, with those characters
    percent-encoded that a request must not contain. `url` has the same path, an ASCII host, no user info and no
    fragment. `origin` is scheme, host and port (RFC 6454 4). `authorization` is the Authorization header made from the
    user info (RFC 7617); it is sent to this origin only, and `repr` omits it.
    """

    url: str
    path: str
    origin: tuple[str, str, int]
    authorization: str | None = None

    @property
    def host(self) -> str:
        return self.origin[1]

    def __repr__(self) -> str:
        return f"Target({redact(self.url)!r})"


def host_name(target: Target) -> str:
    """The name under which a host's pace is kept: http and https are one host, another port is another server."""
    scheme, host, port = target.origin
    return host if port == _DEFAULT_PORTS[scheme] else f"{host}:{port}"


def parse_target(url: str) -> Target:
    """Parse the URL of an entry; user info becomes Basic credentials.

    Raises:
        EntryFailure: `bad_url`.
    """
    check_url(url)
    parts = _PARTS.match(url)
    assert parts is not None and parts["scheme"] and parts["authority"]  # noqa: PT018 - `check_url` has checked it
    try:
        site, origin, authorization = _parse_site(f"{parts['scheme']}{parts['authority']}/")
    except (HTTPError, RequestException, ValueError):  # their messages quote the URL
        raise EntryFailure(Reason.BAD_URL, "URL host or port is malformed") from None
    path = _request_path(parts["rest"])
    return Target(f"{site}{path}", path, origin, authorization)


@lru_cache(maxsize=HOST_CACHE_SIZE)
def _parse_site(url: str) -> tuple[str, tuple[str, str, int], str | None]:
    """The site of a URL without path and query, as a request names it, its origin and its credentials.

    Raises:
        HTTPError, RequestException, ValueError: host or port is malformed.
    """
    given = parse_url(url)
    request = PreparedRequest()
    request.prepare_url(given._replace(auth=None).url, None)  # encodes the host
    prepared = parse_url(str(request.url))
    scheme, host = prepared.scheme or "", (prepared.host or "").strip("[]").lower()
    origin = scheme, host, prepared.port or _DEFAULT_PORTS[scheme]
    return f"{scheme}://{prepared.netloc}", origin, _basic_authorization(given.auth)


def resolve_redirect(base: Target, location: str) -> Target:
    """Resolve a redirect's `Location` (RFC 9110 10.2.2) against the target that returned it.

    Credentials are kept for the same origin only; credentials in the Location itself are ignored.

    Raises:
        EntryFailure: `bad_url`, also for schemes other than http and https.
    """
    with suppress(UnicodeError):  # http.client decodes headers as Latin-1, but servers send UTF-8
        location = location.encode("latin-1").decode("utf-8")
    location = location.translate(_IGNORED_IN_LOCATION)
    try:
        target = parse_target(_join(base, location.strip()))
    except EntryFailure as failure:
        raise EntryFailure(Reason.BAD_URL, f"redirect to {redact(location)}: {failure.detail}") from None
    authorization = base.authorization if target.origin == base.origin else None
    return Target(target.url, target.path, target.origin, authorization)


def _join(base: Target, location: str) -> str:
    """The absolute URL of a reference (RFC 3986 5.2). Unlike `urljoin` it changes nothing that it need not change."""
    parts = _PARTS.match(location)
    assert parts is not None
    scheme = base.origin[0]
    if parts["scheme"] and (parts["authority"] is not None or parts["scheme"][:-1].lower() != scheme):
        return location
    written = (parts["authority"] or "") + parts["rest"]
    rest = _with_slashes(written)
    if rest.startswith("//"):  # perhaps written with backslashes: a host follows, as in a browser
        return f"{scheme}://{written[2:]}"
    site = base.url.removesuffix(base.path)
    path, _, query = base.path.partition("?")
    if rest.startswith("/"):
        return f"{site}{rest}"
    if not rest:
        return base.url
    if rest.startswith("?"):
        return f"{site}{path}{rest}"
    relative, mark, query = rest.partition("?")
    return f"{site}{_without_dots(path.rpartition('/')[0] + '/' + relative)}{mark}{query}"


def _without_dots(path: str) -> str:
    """Remove dot segments (RFC 3986 5.2.4) and nothing else."""
    kept: list[str] = []
    segments = path.split("/")[1:]
    for segment in segments:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in (".", ".."):
        kept.append("")
    return "/" + "/".join(kept)


def _with_slashes(rest: str) -> str:
    """Path and query with a slash for each backslash of the path, as browsers read them (URL Standard 4.4)."""
    path, mark, query = rest.partition("?")
    return path.replace("\\", "/") + mark + query


def _request_path(rest: str) -> str:
    """Path and query as written, but a backslash in the path is a slash, and what no request may hold is encoded."""
    path, mark, query = _with_slashes(rest).partition("?")
    if not path.startswith("/"):
        path = f"/{path}"
    encoded = quote(_NO_ESCAPE.sub("%25", path), safe=_SAFE_PATH)
    return encoded + mark + quote(_NO_ESCAPE.sub("%25", query), safe=_SAFE_QUERY)


def _basic_authorization(user_info: str | None) -> str | None:
    if not user_info:
        return None
    name, _, password = user_info.partition(":")
    pair = f"{unquote(name)}:{unquote(password)}".encode(errors="replace")
    return "Basic " + base64.b64encode(pair).decode("ascii")
