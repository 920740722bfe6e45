"""Computes and checks the keys of stored images, and computes fingerprints."""

import hashlib
import json
import re
from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import unquote, urlsplit

from imgrelay_dagster.relay.errors import EntryFailure
from imgrelay_dagster.relay.outcomes import Reason
from imgrelay_dagster.relay.urls import HOST_CACHE_SIZE

RESERVED_ROOT = "_relay"
"""First segment of every key of imgrelay's own objects in a destination; no entry's key may start with it."""
MAX_DEFAULT_KEY = 200
"""Maximum bytes in a default key."""
MAX_KEY = 1024
"""Maximum bytes in a key (UTF-8): the limit of S3."""
MAX_SEGMENT = 250
"""Maximum bytes between two slashes of a key: 255 in file systems, minus obstore's suffix for unfinished files."""

_MAX_HOST = 100
_FORBIDDEN_CHARACTER = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_DRIVE_SUFFIX = re.compile(r"[A-Za-z][:|]\Z")  # obstore turns keys into file: URLs, where this is a drive letter
_encode_canonical_json = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False).encode
IMAGE_EXTENSION = re.compile(r"\.(?:jpe?g|jpe|jfif|png|webp|gif|avif|bmp|tiff?|hei[cf]|svg|ico)$", re.IGNORECASE)


def default_key(url: str, extension: str) -> str:
    """Return the key of an entry without a key: `<host>/<name>-<first 16 hex digits of the URL's SHA-256>.<extension>`.

    The key depends only on the arguments. The digest is computed from the exact text of the URL, so different URLs get
    different keys. The key has at most 200 bytes, all of `[A-Za-z0-9._-]` except one slash. No segment starts with a
    dot or an underscore, so no key is below `_relay/`. Every text is accepted as a URL, valid or not.

    Args:
        url: as the manifest gives it.
        extension: of the stored file, without a dot: 1 to 8 lower-case letters and digits.

    Raises:
        ValueError: the extension is anything else.
    """
    if not re.fullmatch(r"[a-z0-9]{1,8}", extension):
        raise ValueError(f"extension {extension!r} is not 1 to 8 of a-z 0-9, such as 'jpg'")
    host, path = _host_and_path(url)
    digest = hashlib.sha256(url.encode(errors="surrogatepass")).hexdigest()[:16]
    folder = _sanitize(host.lower(), _MAX_HOST) or "unknown-host"
    ending = f"-{digest}.{extension}"
    name = IMAGE_EXTENSION.sub("", unquote(path.rpartition("/")[2]))
    name = _sanitize(name, MAX_DEFAULT_KEY - len(folder) - 1 - len(ending)) or "image"
    return f"{folder}/{name}{ending}"


def check_key(key: str) -> None:
    """Check that a manifest's key is safe in S3 and in a folder, and that both store it under exactly this name.

    Keys are used as given: neither case nor Unicode form (NFC, NFD) is changed.

    Raises:
        EntryFailure: `invalid_entry`, when the key is not relative, has an empty, `.` or `..` segment, contains
            a backslash, a control character or half a surrogate pair, has more than 1,024 bytes or a segment of more
            than 250, is below `_relay` in upper or lower case, ends in a drive letter such as `C:`, or has a segment
            ending in `#` and digits (obstore's temporary files).
    """
    problem = _find_problem(key)
    if problem:
        raise EntryFailure(Reason.INVALID_ENTRY, f"key {problem}")


def fingerprint(
    *,
    url: str,
    template_digest: str,
    layout: Mapping[str, object],
    output: Mapping[str, object],
    composer_version: str,
) -> str:
    """Return the SHA-256 (hex) of everything that determines the output's bytes, except the downloaded image.

    It is computed from JSON with sorted names, so the order of mappings does not matter. Types do: 1, 1.0 and true
    differ, so pass the values of the config model, with defaults filled in.

    Args:
        url: as the manifest gives it.
        template_digest: hex digest of the template's bytes.
        layout: plain JSON values.
        output: plain JSON values.
        composer_version: changes whenever composing the same input gives different bytes.

    Raises:
        TypeError, ValueError: for values without a JSON form, such as sets or NaN.
    """
    parts = {
        "url": url,
        "template": template_digest,
        "layout": dict(layout),
        "output": dict(output),
        "composer": composer_version,
    }
    return hashlib.sha256(_encode_canonical_json(parts).encode("ascii")).hexdigest()


def _host_and_path(url: str) -> tuple[str, str]:
    """Return the ASCII host and the path; both empty when the URL cannot be parsed."""
    try:
        parts = urlsplit(url)
        return _to_ascii_host(parts.hostname or ""), parts.path
    except ValueError:
        return "", ""


@lru_cache(maxsize=HOST_CACHE_SIZE)
def _to_ascii_host(host: str) -> str:
    """Return the host as in DNS. It uses Python's IDNA 2003, whose tables never change, so keys never change either."""
    try:
        return host.encode("idna").decode("ascii")
    except UnicodeError:
        return host


def _sanitize(text: str, limit: int) -> str:
    """Replace unsafe characters, and cut to `limit`; the result is empty or has letters or digits at both ends."""
    safe = re.sub(r"\.{2,}", ".", re.sub(r"[^A-Za-z0-9._-]+", "-", text))
    return safe.lstrip("._-")[:limit].rstrip("._-")


def _find_problem(key: str) -> str | None:
    """Return why a key is unsafe; None when it is safe."""
    forbidden = _FORBIDDEN_CHARACTER.search(key)
    if forbidden:
        return f"contains U+{ord(forbidden[0]):04X}, which is not allowed, at character {forbidden.start() + 1}"
    if "\\" in key:
        return "contains a backslash; use / as the separator"
    size = len(key.encode())
    if not 0 < size <= MAX_KEY:
        return f"has {size:,} bytes; 1 to {MAX_KEY:,} are allowed"
    segments = key.split("/")
    if segments[0].casefold() == RESERVED_ROOT:
        return f"is below {RESERVED_ROOT}, which is reserved for results"
    if _DRIVE_SUFFIX.search(key):
        return f"ends in {key[-2:]!r}, which looks like a drive letter; add an extension"
    return next((problem for problem in map(_find_segment_problem, segments) if problem), None)


def _find_segment_problem(segment: str) -> str | None:
    if segment in ("", ".", ".."):
        return "starts or ends with / or has an empty, . or .. part between slashes"
    if len(segment.encode()) > MAX_SEGMENT:
        return f"has more than {MAX_SEGMENT} bytes between two slashes"
    if re.search(r"#[0-9]+\Z", segment):
        return "has a part ending in # and digits, which is reserved for unfinished files"
    return None
