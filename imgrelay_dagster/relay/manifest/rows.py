"""The rows of a manifest: a valid row names an image to relay, a bad row describes an error."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

BLANKS = " \t\u00a0\ufeff"
"""Characters stripped from both ends of every value: blanks, and byte-order marks inside concatenated files."""

MAX_TEXT = 200
"""Characters kept of a malformed line."""

FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""Characters that no URL, key or template name may hold."""

_FIRST_INEXACT = 2**53


@dataclass(frozen=True, slots=True)
class ManifestRow:
    """A well-formed line, or one of the URLs in the cell of a line. `keys.check_url` and `check_key` validate it later.

    Attributes:
        line: its line number, from 1, as in an editor; for Parquet the number of the row, for xlsx that of the sheet.
        url: the URL.
        key: key of the stored image; None when the manifest omits it.
        template: name of its template; None when the manifest omits it.
        part: the number of the URL in its cell, from 1; 0 when the cell holds only this one.
        given_url: the text that stands in the manifest, if the URL was mended; otherwise None.
        carried: values of the columns that are carried along, by name.
        expected: what the image must be: `sha256`, `md5` (hex) and `size` (bytes), as far as the manifest says.
        fallback_urls: mirrors of the URL, in order.
        focus: the point of the image that stays visible; None when the manifest omits it.
    """

    line: int
    url: str
    key: str | None = None
    template: str | None = None
    part: int = 0
    given_url: str | None = None
    carried: Mapping[str, str] = field(default_factory=dict)
    expected: Mapping[str, str] = field(default_factory=dict)
    fallback_urls: tuple[str, ...] = ()
    focus: str | None = None


@dataclass(frozen=True, slots=True)
class BadRow:
    """A malformed line.

    Attributes:
        line: its number, from 1.
        text: its URL where that is known, otherwise the beginning of the line; at most 200 characters, with control
            characters replaced by U+FFFD. It may contain user info or a signed query, so it must not be logged.
        error: a short description of the error, which never quotes the line.
        carried: values of the columns that are carried along, by name.
    """

    line: int
    text: str
    error: str
    carried: Mapping[str, str] = field(default_factory=dict)


Row = ManifestRow | BadRow


class InvalidValue(ValueError):
    """A value of a line that cannot be used; the message never quotes it."""


def bad_row(line: int, text: str, error: str, carried: Mapping[str, str] | None = None) -> BadRow:
    """Return the bad row for a line of any length and content."""
    return BadRow(line, FORBIDDEN.sub("\ufffd", text[:MAX_TEXT]), error, carried or {})


def clean_value(name: str, value: object) -> str:
    """Return a value as text without blanks at its ends; "" when it is missing.

    Whole numbers become text, because spreadsheets and Parquet files hold article numbers as numbers. They are floats
    in a column with gaps that pandas wrote.

    Raises:
        InvalidValue: it is of another type or has a forbidden character; the message names it.
    """
    if value is None:
        return ""
    if not isinstance(value, str):
        value = without_fraction(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise InvalidValue(f"{name} must be text, not {type(value).__name__}")
        return str(value)
    stripped = value.strip(BLANKS)
    check_characters(name, stripped)
    return stripped


def without_fraction(value: object) -> object:
    """A float that is a whole number, as an integer; any other value as it is. Larger floats are not exact."""
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < _FIRST_INEXACT else value


def check_characters(name: str, value: str) -> None:
    """Check that a value has no control character, line break or unpaired surrogate.

    Raises:
        InvalidValue: it has one; the message says which and where.
    """
    forbidden = FORBIDDEN.search(value)
    if forbidden:
        raise InvalidValue(f"{name} holds {_describe(forbidden[0])} at character {forbidden.start() + 1}")


def _describe(character: str) -> str:
    if character in "\r\n\u2028\u2029":
        return "a line break"
    if "\ud800" <= character <= "\udfff":
        return "an unpaired surrogate"
    return f"the control character U+{ord(character):04X}"
