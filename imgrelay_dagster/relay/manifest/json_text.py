"""The text of a JSON manifest, read in chunks, and the values in it one by one."""

import codecs
import json
import re
from typing import Any

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.manifest.content import CHUNK, Readable

MAX_ITEM = 1024 * 1024
"""Characters of one value."""

TOO_DEEP = "broken JSON: a number is too long or the nesting too deep"


class PeekedSource:
    """A source whose first bytes can be looked at before they are read."""

    def __init__(self, source: Readable) -> None:
        self._source = source
        self.start = b""
        while len(self.start) < CHUNK and (more := source.read(CHUNK - len(self.start))):
            self.start += more
        self._rest = self.start

    def read(self, size: int, /) -> bytes:
        data, self._rest = self._rest[:size], self._rest[size:]
        return data or self._source.read(size)


class JsonText:
    """A text that is read in chunks: `buffer` from `position` on is what was read and not yet used."""

    def __init__(self, source: Readable, name: str) -> None:
        self._source, self._name = source, name
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self.buffer, self.position = "", 0
        self.line = 1
        self.ended = False

    def fill(self) -> None:
        """Read one more chunk."""
        data = self._source.read(CHUNK)
        self.ended = not data
        try:
            more = self._decoder.decode(data, self.ended)
        except UnicodeDecodeError:
            raise RelayError(
                f"manifest {self._name!r} is not UTF-8 after line {self.line}; save it as UTF-8, or name its encoding "
                "with columns.encoding, such as cp1252"
            ) from None
        self.buffer = self.buffer[self.position :] + more
        self.position = 0

    def rest(self, size: int) -> str:
        """The next characters, at most `size`."""
        return self.buffer[self.position : self.position + size]

    def move_to(self, position: int) -> None:
        """Use the characters up to a position of the buffer."""
        self.line += self.buffer.count("\n", self.position, position)
        self.position = position

    def skip_start(self, prefix: str) -> None:
        """Use a byte-order mark, blanks, the prefix, and the bracket that opens the array."""
        self.move_to(self.buffer.index("[", len(prefix)) + 1)

    def skip(self, pattern: re.Pattern[str]) -> None:
        """Use everything that matches, reading on as long as it does."""
        while True:
            found = pattern.match(self.buffer, self.position)
            assert found is not None
            self.move_to(found.end())
            if self.position < len(self.buffer) or self.ended:
                return
            self.fill()

    def next_value(self) -> tuple[Any, int, str]:
        """Decode the value at the position: the value, where it ends, and "". A broken one: None, -1, the problem."""
        while True:
            try:
                value, end = _DECODER.raw_decode(self.buffer, self.position)
                if end < len(self.buffer) or self.ended:
                    return value, end, ""
                problem = "the item is too long"
            except json.JSONDecodeError as error:
                problem = f"broken JSON: {error.msg}"
            except (ValueError, RecursionError):
                problem = TOO_DEEP
            if self.ended or len(self.buffer) - self.position > MAX_ITEM:
                return None, -1, problem
            self.fill()

    def indent(self) -> str | None:
        """The text between the start of the line and the position; None if it is not known to be the line's start."""
        line_start = self.buffer.rfind("\n", 0, self.position) + 1
        return self.buffer[line_start : self.position] if line_start > 0 else None

    def move_behind_next(self, pattern: re.Pattern[str]) -> None:
        """Use everything up to the next match of the pattern and the match; all of the text if there is none."""
        while True:
            found = pattern.search(self.buffer, self.position + 1)
            if found:
                self.move_to(found.end())
                return
            if self.ended:
                self.move_to(len(self.buffer))
                return
            keep = max(self.position + 1, len(self.buffer) - 1000)
            self.move_to(min(keep, len(self.buffer)))
            self.fill()


_DECODER = json.JSONDecoder()
