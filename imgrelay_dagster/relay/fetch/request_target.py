"""Prepares URLs for requests: the encoded URL, its origin, and the credentials."""

import base64
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import unquote, urljoin, urlsplit

from requests.exceptions import RequestException
from requests.models import PreparedRequest
from urllib3.exceptions import HTTPError
from urllib3.util import parse_url

from imgrelay_dagster.relay.errors import EntryFailure
from imgrelay_dagster.relay.outcomes import Reason
from imgrelay_dagster.relay.redact import redact
from imgrelay_dagster.relay.urls import check_url

_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Target:
    """A URL prepared for a request.

    `url` is percent-encoded, with an ASCII host, without user info and fragment. `origin` is scheme, host and port
    (RFC 6454 4). `authorization` is the Authorization header made from the user info (RFC 7617); it is sent to this
    origin only, and `repr` omits it.
    """

    url: str
    origin: tuple[str, str, int]
    authorization: str | None = None

    @property
    def host(self) -> str:
        return self.origin[1]

    def __repr__(self) -> str:
        return f"Target({redact(self.url)!r})"


def parse_target(url: str) -> Target:
    """Parse the URL of an entry; user info becomes Basic credentials.

    Raises:
        EntryFailure: `bad_url`.
    """
    check_url(url)
    try:
        parts = parse_url(url)
        request = PreparedRequest()
        request.prepare_url(parts._replace(auth=None, fragment=None).url, None)
        prepared = str(request.url)
        origin = urlsplit(prepared)
        port = origin.port or _DEFAULT_PORTS[origin.scheme]
    except (HTTPError, RequestException, ValueError):  # their messages quote the URL
        raise EntryFailure(Reason.BAD_URL, "URL host or port is malformed") from None
    return Target(prepared, (origin.scheme, origin.hostname or "", port), _basic_authorization(parts.auth))


def resolve_redirect(base: Target, location: str) -> Target:
    """Resolve a redirect's `Location` (RFC 9110 10.2.2) against the target that returned it.

    Credentials are kept for the same origin only; credentials in the Location itself are ignored.

    Raises:
        EntryFailure: `bad_url`, also for schemes other than http and https.
    """
    with suppress(UnicodeError):  # http.client decodes headers as Latin-1, but servers send UTF-8
        location = location.encode("latin-1").decode("utf-8")
    try:
        target = parse_target(urljoin(base.url, location.strip()))
    except EntryFailure as failure:
        raise EntryFailure(Reason.BAD_URL, f"redirect to {redact(location)}: {failure.detail}") from None
    except ValueError:
        raise EntryFailure(Reason.BAD_URL, f"redirect to {redact(location)}: malformed") from None
    authorization = base.authorization if target.origin == base.origin else None
    return Target(target.url, target.origin, authorization)


def _basic_authorization(user_info: str | None) -> str | None:
    if not user_info:
        return None
    name, _, password = user_info.partition(":")
    pair = f"{unquote(name)}:{unquote(password)}".encode(errors="replace")
    return "Basic " + base64.b64encode(pair).decode("ascii")
