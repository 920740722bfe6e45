"""The rows of a manifest: a valid row names an image to relay, a bad row describes an error."""

import re
from dataclasses import dataclass

BLANKS = " \t\u00a0\ufeff"
"""Characters stripped from both ends of every value: blanks, and byte-order marks inside concatenated files."""

MAX_TEXT = 200
"""Characters kept of a malformed line."""

_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class ManifestRow:
    """A well-formed line. URL and key are not validated yet; `keys.check_url` and `keys.check_key` do that.

    `line` counts from 1, as in an editor. `key` and `template` are None when the manifest omits them.
    """

    line: int
    url: str
    key: str | None = None
    template: str | None = None


@dataclass(frozen=True, slots=True)
class BadRow:
    """A malformed line.

    Attributes:
        line: its number, from 1.
        text: the beginning of the line, at most 200 characters, with control characters replaced by U+FFFD. It may
            contain user info or a signed query, so it must not be logged.
        error: a short description of the error, which never quotes the line.
    """

    line: int
    text: str
    error: str


Row = ManifestRow | BadRow


def bad_row(line: int, text: str, error: str) -> BadRow:
    """Return the bad row for a line of any length and content."""
    return BadRow(line, _FORBIDDEN.sub("\ufffd", text[:MAX_TEXT]), error)


def make_row(line: int, text: str, url: object, key: object = None, template: object = None) -> Row:
    """Return the row for a line's three values: a bad row when a value has the wrong type or a forbidden character.

    Blanks around values are stripped. An empty `key` or `template` counts as omitted.
    """
    values: list[str] = []
    for name, value in (("url", url), ("key", key), ("template", template)):
        if value is None:
            values.append("")
            continue
        if not isinstance(value, str):
            return bad_row(line, text, f"{name} must be text, not {type(value).__name__}")
        stripped = value.strip(BLANKS)
        forbidden = _FORBIDDEN.search(stripped)
        if forbidden:
            error = f"{name} holds {_describe(forbidden[0])} at character {forbidden.start() + 1}"
            return bad_row(line, text, error)
        values.append(stripped)
    if not values[0]:
        return bad_row(line, text, "url is missing or empty")
    return ManifestRow(line, values[0], values[1] or None, values[2] or None)


def _describe(character: str) -> str:
    if character in "\r\n\u2028\u2029":
        return "a line break"
    if "\ud800" <= character <= "\udfff":
        return "an unpaired surrogate"
    return f"the control character U+{ord(character):04X}"
