"""Checks on the headers of requests that users set."""

import re

_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110 5.6.2
_OWN = frozenset({"host", "connection", "content-length", "transfer-encoding", "accept-encoding", "range", "te"})


def check_header(name: str, value: str) -> str | None:
    """What is wrong with a header, without its value, which may be a secret; None if nothing is."""
    if not _NAME.fullmatch(name):
        return f"{name!r} is not a header name"
    if name.lower() in _OWN:
        return f"{name} cannot be set: imgrelay sets it itself"
    if any(ord(character) < 32 or ord(character) > 255 or ord(character) == 127 for character in value):
        return f"the value of {name} has control characters, or characters outside of Latin-1"
    if value != value.strip():
        return f"the value of {name} starts or ends with a space"
    return None
