"""What a manifest's line is read as: a row to relay, or a bad row with its cause."""

import re
from dataclasses import dataclass

BLANKS = " \t\u00a0\ufeff"
"""Stripped from both ends of every value: blanks, and the byte-order marks that joined files carry inside."""

MAX_TEXT = 200
"""Characters of a bad line that are kept."""

_UNFIT = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class ManifestRow:
    """A well-formed line. Neither URL nor key has been checked yet: `keys.check_url` and `keys.check_key` do.

    `line` counts from 1, as an editor does; `key` and `template` are None where the manifest leaves them out.
    """

    line: int
    url: str
    key: str | None = None
    template: str | None = None


@dataclass(frozen=True, slots=True)
class BadRow:
    """A malformed line and a short cause.

    `text` is the beginning of the line, at most 200 characters, with control characters replaced by U+FFFD.
    It may hold what a URL may hold (user info, signed queries) and must not be logged. `why` never quotes it.
    """

    line: int
    text: str
    why: str


Row = ManifestRow | BadRow


def bad_row(line: int, text: str, why: str) -> BadRow:
    """The bad row for a line of any length and content."""
    return BadRow(line, _UNFIT.sub("\ufffd", text[:MAX_TEXT]), why)


def make_row(line: int, text: str, url: object, key: object = None, template: object = None) -> Row:
    """The row for a line's three values; bad when one has the wrong type or no usable text.

    Blanks around values are dropped; an empty `key` or `template` counts as left out.
    """
    values: list[str] = []
    for name, value in (("url", url), ("key", key), ("template", template)):
        if value is None:
            values.append("")
            continue
        if not isinstance(value, str):
            return bad_row(line, text, f"{name} must be text, not {type(value).__name__}")
        stripped = value.strip(BLANKS)
        unfit = _UNFIT.search(stripped)
        if unfit:
            return bad_row(line, text, f"{name} holds {_kind(unfit[0])} at character {unfit.start() + 1}")
        values.append(stripped)
    if not values[0]:
        return bad_row(line, text, "url is missing or empty")
    return ManifestRow(line, values[0], values[1] or None, values[2] or None)


def _kind(character: str) -> str:
    if character in "\r\n\u2028\u2029":
        return "a line break"
    if "\ud800" <= character <= "\udfff":
        return "half a surrogate pair, which is no character,"
    return f"the control character U+{ord(character):04X}"
