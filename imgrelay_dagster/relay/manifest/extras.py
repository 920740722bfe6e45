"""The optional columns of a row beside URL, key and template: what its image must be, and mirrors of its URL."""

import re

from imgrelay_dagster.relay.manifest.cells import urls_in
from imgrelay_dagster.relay.manifest.rows import (
    BLANKS,
    FORBIDDEN,
    MAX_TEXT,
    InvalidValue,
    clean_value,
    without_fraction,
)

SMALLEST_SIZE = 100
"""Bytes. A smaller number in a column that is merely called `size` is the size of a shoe, not that of an image."""

MAX_FALLBACKS = 10
"""Mirrors of one URL."""

_DIGITS = {"sha256": 64, "md5": 32}
_SEPARATORS = re.compile(r"[\s,;|]+(?=[a-z][a-z0-9+.-]*://|//)", re.IGNORECASE)


def expected_source(sha256: object, md5: object, size: object, *, size_is_named: bool) -> dict[str, str]:
    """What the image of a row must be: `sha256` and `md5` in lower-case hex, `size` in bytes, as far as they are given.

    Args:
        size_is_named: the user named the column of sizes. Otherwise a value that is no size of a file is ignored.

    Raises:
        InvalidValue: a value is not what its column is called.
    """
    expected = {}
    for name, value in (("sha256", sha256), ("md5", md5)):
        text = clean_value(name, value).lower()
        if text:
            if not re.fullmatch(rf"[0-9a-f]{{{_DIGITS[name]}}}", text):
                raise InvalidValue(f"{name} must be {_DIGITS[name]} hexadecimal digits")
            expected[name] = text
    text = str(without_fraction(size) if size_is_named else size).strip() if size is not None else ""
    is_number = bool(re.fullmatch(r"[0-9]{1,15}", text))
    if size_is_named and text and not is_number:
        raise InvalidValue("size must be a number of bytes")
    if is_number and (size_is_named or int(text) >= SMALLEST_SIZE):
        expected["size"] = str(int(text))
    return expected


def fallback_urls(values: list[object]) -> tuple[str, ...]:
    """The mirrors of a URL, in order. A cell may hold several, separated by blanks, commas, semicolons or bars.

    Raises:
        InvalidValue: a value is not text, or there are more than `MAX_FALLBACKS`.
    """
    found: list[str] = []
    for value in values:
        parts = _SEPARATORS.split(value.strip()) if isinstance(value, str) else [value] if value else []
        for part in parts:
            if part:
                found += [url for url, _ in urls_in(part, "\n")]
    if len(found) > MAX_FALLBACKS:
        raise InvalidValue(f"fallback_url holds {len(found)} URLs; at most {MAX_FALLBACKS} are allowed")
    return tuple(found)


def focus_text(value: object) -> str | None:
    """The focus of an image as text; planning checks it where the layout uses one. A list holds two numbers."""
    text = ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return FORBIDDEN.sub("\ufffd", text.strip(BLANKS)[:MAX_TEXT]) or None
