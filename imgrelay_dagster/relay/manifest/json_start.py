"""What the first bytes of a JSON manifest tell about its form."""

import json

from imgrelay_dagster.relay.manifest.content import CHUNK
from imgrelay_dagster.relay.manifest.json_text import PeekedSource
from imgrelay_dagster.relay.manifest.rows import BLANKS

_LONGEST_LITERAL = len("-Infinity")


class JsonStart:
    """The first bytes of a JSON manifest.

    Attributes:
        text: what they hold, from the first character that is no blank.
        is_object: the text begins with an object.
        has_whole_line: the first line is a whole value. Of an array, only if further lines follow: then every line is a
            value of its own.
        error: why the first value is not valid; None if it is, or if its end was not seen.
        spans_lines: the first value is an object that begins in the first line and ends in a later one.
        has_several: the first value is a whole object, and another object follows it.
    """

    def __init__(self, peeked: PeekedSource) -> None:
        whole = peeked.start.decode(errors="replace").removeprefix("\ufeff")
        self.text = whole.lstrip()
        self.is_object = self.text.startswith("{")
        first, _, rest = self.text.partition("\n")
        self.has_whole_line = (self.is_object or bool(rest.strip())) and _is_complete(value_of_line(first))
        self._is_cut = False  # the object goes on behind the first bytes
        self.error: json.JSONDecodeError | None = None
        self.spans_lines = self.has_several = False
        if self.is_object:
            begin = len(whole) - len(self.text)
            end = self._end(whole, begin, is_cut=len(peeked.start) >= CHUNK)
            self.has_several = end is not None and whole[end:].lstrip(", \t\r\n").startswith("{")
            self.spans_lines = not self.has_whole_line and self._ends_later(
                first, rest, None if end is None else end - begin
            )

    def _end(self, whole: str, begin: int, *, is_cut: bool) -> int | None:
        """Where the object ends; None if it is broken, or if its end was not seen."""
        try:
            return json.JSONDecoder().raw_decode(whole, begin)[1]
        except json.JSONDecodeError as error:
            at_end = error.pos >= len(whole) - _LONGEST_LITERAL or error.msg.startswith("Unterminated string")
            self._is_cut = is_cut and at_end
            self.error = None if self._is_cut else error
        except (ValueError, RecursionError):  # a number is too long or the nesting too deep: its row says so
            pass
        return None

    def _ends_later(self, first: str, rest: str, end: int | None) -> bool:
        """Whether the object ends in a later line.

        One whose end was not seen does so unless the second line is a whole object, as behind a line that was cut off.
        """
        if end is not None:
            return end > len(first)
        second = value_of_line(rest.lstrip().partition("\n")[0])
        return self._is_cut and bool(rest) and not (second.startswith("{") and _is_complete(second))


def value_of_line(line: str) -> str:
    """The value in a line, without blanks and without the comma that separates it from that of the next line."""
    value = line.strip(f"{BLANKS}\r")
    return value[:-1] if value.endswith(("},", '",')) else value


def _is_complete(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
