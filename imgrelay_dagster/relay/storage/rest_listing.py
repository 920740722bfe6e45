"""Listings of Google's and Azure's stores over their REST APIs, names that obstore rejects included.

obstore aborts a listing at a name with an empty segment or a control character. This is the slower way around: one
request after the other, each with its answer in memory.
"""

import base64
import hashlib
import hmac
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from datetime import datetime
from email.utils import formatdate, parsedate_to_datetime
from urllib.parse import quote, unquote, urlencode, urlsplit
from xml.etree import ElementTree  # nosec B405 - only the answers of the user's own store are parsed

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.storage.listing import ListedObject

TIMEOUT = 30.0
"""Seconds without an answer after which a request fails."""

GOOGLE_URL = "https://storage.googleapis.com"
AZURE_VERSION = "2023-11-03"


def list_google(address: str, token: str | None, base_url: str = GOOGLE_URL) -> Iterator[ListedObject]:
    """List a bucket over the XML API ("List Objects"), which escapes names on request.

    Args:
        token: OAuth 2.0 access token; None sends none.

    Raises:
        RelayError: the store refuses, or does not answer.
    """
    bucket, below = _split(address)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    query = {"list-type": "2", "encoding-type": "url", "prefix": below}
    while True:
        found = _get(address, f"{base_url.rstrip('/')}/{quote(bucket)}?{urlencode(query)}", headers)
        for item in _all(found, "Contents"):
            name = unquote(_text(item, "Key").replace("+", "%20"))
            modified = datetime.fromisoformat(_text(item, "LastModified"))
            yield ListedObject(name.removeprefix(below), int(_text(item, "Size")), _text(item, "ETag"), modified)
        after = _text(found, "NextContinuationToken")
        if not after:
            return
        query["continuation-token"] = unquote(after)


def list_azure(address: str, base_url: str, account: str, key: str | None, sas: str | None) -> Iterator[ListedObject]:
    """List a container ("List Blobs").

    Args:
        base_url: the account's endpoint.
        account: name of the storage account.
        key: the account's key, in Base64; None signs no request.
        sas: a shared access signature; None sends none.

    Raises:
        RelayError: the store refuses, or does not answer.
    """
    container, below = _split(address)
    query = {"comp": "list", "prefix": below, "restype": "container"}
    url = f"{base_url.rstrip('/')}/{container}"
    while True:
        headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": AZURE_VERSION}
        if key is not None:
            signature = _azure_signature(key, account, urlsplit(url).path, headers, query)
            headers["Authorization"] = f"SharedKey {account}:{signature}"
        found = _get(address, f"{url}?{urlencode(query, quote_via=quote)}{f'&{sas}' if sas else ''}", headers)
        for item in _all(found, "Blob"):
            name = item.find("Name")
            text = "" if name is None else name.text or ""
            path = unquote(text) if name is not None and name.get("Encoded") == "true" else text
            modified = parsedate_to_datetime(_text(item, "Last-Modified"))
            size, e_tag = int(_text(item, "Content-Length")), _text(item, "Etag")
            yield ListedObject(path.removeprefix(below), size, e_tag, modified)
        after = _text(found, "NextMarker")
        if not after:
            return
        query = dict(sorted({**query, "marker": after}.items()))


def _split(address: str) -> tuple[str, str]:
    """Bucket and prefix of an address; the prefix ends in a slash or is empty."""
    bucket, _, prefix = address.partition("://")[2].partition("/")
    return bucket, f"{prefix}/" if prefix else ""


def _azure_signature(key: str, account: str, path: str, headers: Mapping[str, str], query: Mapping[str, str]) -> str:
    """The signature of a GET request without a body ("Authorize with Shared Key"). Headers and query are sorted."""
    named = "".join(f"{name}:{value}\n" for name, value in headers.items())
    asked = "".join(f"\n{name}:{value}" for name, value in query.items())
    empty = "\n" * 12  # the headers of a body, and the date, which has a header of its own
    text = f"GET{empty}{named}/{account}{path}{asked}"
    return base64.b64encode(hmac.new(base64.b64decode(key), text.encode(), hashlib.sha256).digest()).decode()


def _get(address: str, url: str, headers: Mapping[str, str]) -> ElementTree.Element:
    request = urllib.request.Request(url, headers=dict(headers))
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:  # nosec B310
            return ElementTree.fromstring(answer.read())  # nosec B314
    except urllib.error.HTTPError as error:
        raise RelayError(f"{address!r} cannot be listed: its server answers {error.code} {error.reason}") from None
    except (OSError, ElementTree.ParseError) as error:
        raise RelayError(f"{address!r} cannot be listed: {error}") from None


def _all(found: ElementTree.Element, tag: str) -> Iterator[ElementTree.Element]:
    """All elements of this name, whatever their namespace."""
    return (item for item in found.iter() if item.tag.rpartition("}")[2] == tag)


def _text(found: ElementTree.Element, tag: str) -> str:
    """The text of the first element of this name; empty if there is none."""
    item = next(_all(found, tag), None)
    return "" if item is None else item.text or ""
