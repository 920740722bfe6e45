"""What an entry is called before anything is fetched: the key of its image, and its fingerprint."""

import hashlib
import json
import re
from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import unquote, urlsplit

from imgrelay_dagster.relay.errors import EntryFailure
from imgrelay_dagster.relay.outcomes import Reason
from imgrelay_dagster.relay.urls import HOSTS_KEPT, check_url

__all__ = ["check_key", "check_url", "default_key", "fingerprint"]

MAX_DEFAULT_KEY = 200
"""Bytes in a default key."""
MAX_KEY = 1024
"""Bytes in a key (UTF-8): the limit of S3."""
MAX_SEGMENT = 250
"""Bytes between two slashes of a key: 255 in file systems, less what obstore adds while it writes."""

_MAX_HOST = 100
_REFUSED = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_DRIVE = re.compile(r"[A-Za-z][:|]\Z")  # obstore makes file: URLs of keys, and the URL standard knows drives
_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False).encode
_IMAGE_EXTENSION = re.compile(r"\.(?:jpe?g|jpe|jfif|png|webp|gif|avif|bmp|tiff?|hei[cf]|svg|ico)$", re.IGNORECASE)


def default_key(url: str, extension: str) -> str:
    """The key of an entry that names none: `<host>/<name>-<first 16 hex of the URL's SHA-256>.<extension>`.

    Depends on nothing but its arguments. The digest is over the exact text of the URL, so URLs that differ
    in anything differ in their keys. At most 200 bytes, all of `[A-Za-z0-9._-]` but one slash; no segment
    starts with a dot or an underscore, so none lies below `_relay/`. Never fails on a URL, sound or not.

    Args:
        url: as the manifest gives it.
        extension: of the stored file, without a dot: 1 to 8 lower-case letters and digits, else ValueError.
    """
    if not re.fullmatch(r"[a-z0-9]{1,8}", extension):
        raise ValueError(f"extension {extension!r} is not 1 to 8 of a-z 0-9, such as 'jpg'")
    host, path = _host_and_path(url)
    digest = hashlib.sha256(url.encode(errors="surrogatepass")).hexdigest()[:16]
    folder = _safe(host.lower(), _MAX_HOST) or "unknown-host"
    ending = f"-{digest}.{extension}"
    name = _IMAGE_EXTENSION.sub("", unquote(path.rpartition("/")[2]))
    name = _safe(name, MAX_DEFAULT_KEY - len(folder) - 1 - len(ending)) or "image"
    return f"{folder}/{name}{ending}"


def check_key(key: str) -> None:
    """Prove that a key given by a manifest is safe in S3 and in a folder, and is stored under just that name.

    Keys are taken as given: neither case nor Unicode form (NFC, NFD) is changed.

    Raises:
        EntryFailure: `invalid_entry`, when the key is not relative, has an empty, `.` or `..` segment, holds
            a backslash, a control character or half a surrogate pair, is over 1,024 bytes or 250 a segment,
            lies below `_relay` in any case, ends in a drive such as `C:`, or has a segment ending in `#` and digits
            (obstore's own files).
    """
    why = _unsafe(key)
    if why:
        raise EntryFailure(Reason.INVALID_ENTRY, f"key {why}")


def fingerprint(
    *,
    url: str,
    template_digest: str,
    layout: Mapping[str, object],
    output: Mapping[str, object],
    composer_version: str,
) -> str:
    """SHA-256 (hex) of everything that decides the output's bytes besides the source.

    It is taken over JSON with sorted names, so the order of mappings does not matter; types do: 1, 1.0 and
    true differ, so give values as the config model holds them, with defaults filled in.

    Args:
        url: as the manifest gives it.
        template_digest: hex digest of the template's bytes.
        layout: plain JSON values.
        output: plain JSON values.
        composer_version: changes whenever composing the same input gives other bytes.

    Raises:
        TypeError, ValueError: for values that JSON does not know, such as sets or NaN.
    """
    parts = {
        "url": url,
        "template": template_digest,
        "layout": dict(layout),
        "output": dict(output),
        "composer": composer_version,
    }
    return hashlib.sha256(_canonical(parts).encode("ascii")).hexdigest()


def _host_and_path(url: str) -> tuple[str, str]:
    """Host in lower case, and path; what cannot be told apart comes back empty."""
    try:
        parts = urlsplit(url)
        return _ascii(parts.hostname or ""), parts.path
    except ValueError:
        return "", ""


@lru_cache(maxsize=HOSTS_KEPT)
def _ascii(host: str) -> str:
    """The host as DNS knows it. By Python's own IDNA 2003, whose tables never change, so keys never do."""
    try:
        return host.encode("idna").decode("ascii")
    except UnicodeError:
        return host


def _safe(text: str, limit: int) -> str:
    """`text` in safe characters, cut to `limit`, with letters or digits (or nothing) at both ends."""
    safe = re.sub(r"\.{2,}", ".", re.sub(r"[^A-Za-z0-9._-]+", "-", text))
    return safe.lstrip("._-")[:limit].rstrip("._-")


def _unsafe(key: str) -> str | None:
    """Why a key is refused; None when it is safe."""
    refused = _REFUSED.search(key)
    if refused:
        return f"holds U+{ord(refused[0]):04X}, which no key may, at character {refused.start() + 1}"
    if "\\" in key:
        return "holds a backslash; separate its parts with /"
    size = len(key.encode())
    if not 0 < size <= MAX_KEY:
        return f"has {size:,} bytes; 1 to {MAX_KEY:,} are allowed"
    segments = key.split("/")
    if segments[0].casefold() == "_relay":
        return "lies below _relay, where results are kept"
    if _DRIVE.search(key):
        return f"ends in {key[-2:]!r}, which a folder's store takes for a drive; add an extension"
    return next((why for why in map(_unsafe_segment, segments) if why), None)


def _unsafe_segment(segment: str) -> str | None:
    if segment in ("", ".", ".."):
        return "starts or ends with / or has an empty, . or .. part between slashes"
    if len(segment.encode()) > MAX_SEGMENT:
        return f"has over {MAX_SEGMENT} bytes between two slashes"
    if re.search(r"#[0-9]+\Z", segment):
        return "has a part ending in # and digits, which is kept for unfinished files"
    return None
