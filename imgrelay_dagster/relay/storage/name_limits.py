"""Limits on the full name of an object, which is the destination's prefix and the key together."""

import re

from imgrelay_dagster.relay.storage.addresses import scheme_of

MAX_BYTES = 1_024
"""Bytes of a name (UTF-8), on S3 and Google."""

MAX_AZURE_CHARACTERS = 1_024
MAX_AZURE_SEGMENTS = 254

_SEAWEED_UPLOADS = ".uploads"
_NOT_IN_XML = re.compile("[\ufffe\uffff]")


class NameLimits:
    """Checks keys against the limits of a destination."""

    def __init__(self, destination: str) -> None:
        self._scheme = scheme_of(destination)
        prefix = destination.partition("://")[2].partition("/")[2] if self._scheme else ""
        self._prefix = f"{prefix}/" if prefix else ""

    def find_problem(self, key: str) -> str | None:
        """Why the destination cannot hold an object of this key; None if it can."""
        name = self._prefix + key
        foreign = _NOT_IN_XML.search(key) if self._scheme else None
        if foreign:
            return f"contains U+{ord(foreign[0]):04X}, which the store's listings cannot hold"
        if self._scheme in ("s3", "gs"):
            size = len(name.encode())
            if size > MAX_BYTES:
                return f"and the destination's prefix have {size:,} bytes together; at most {MAX_BYTES:,} are allowed"
            if self._scheme == "s3" and name.startswith(f"{_SEAWEED_UPLOADS}/"):
                return f"is below {_SEAWEED_UPLOADS}, where SeaweedFS keeps unfinished uploads; use another name"
        if self._scheme == "az":
            return _azure_problem(name)
        return None


def _azure_problem(name: str) -> str | None:
    segments = name.split("/")
    if len(name) > MAX_AZURE_CHARACTERS:
        return (
            f"and the destination's prefix have {len(name):,} characters together; at most "
            f"{MAX_AZURE_CHARACTERS:,} are allowed"
        )
    if len(segments) > MAX_AZURE_SEGMENTS:
        return f"has {len(segments)} parts between slashes; at most {MAX_AZURE_SEGMENTS} are allowed"
    if any(segment.endswith(".") for segment in segments):
        return "has a part that ends in a dot, which Azure removes"
    return None
