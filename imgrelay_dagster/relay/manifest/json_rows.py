"""The rows of a JSON manifest: an object or a string in each line, or an array of them."""

import codecs
import json
import re
from collections.abc import Iterator

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.manifest.content import CHUNK, Readable
from imgrelay_dagster.relay.manifest.json_table import JsonTable
from imgrelay_dagster.relay.manifest.lines import MAX_LINE, Line, physical_lines
from imgrelay_dagster.relay.manifest.options import ReadOptions
from imgrelay_dagster.relay.manifest.rows import BLANKS, Row

MAX_ITEM = 1024 * 1024
"""Characters of one item of an array."""

_WRAPPED_ARRAY = re.compile(r'\{\s*"[^"\\]{1,100}"\s*:\s*(?=\[)')
_TEXT_THAT_IS_NO_URL = re.compile(r'\[\s*"[^"/]+"')
_ARRAY = re.compile(r'\[\s*(?:[{"\]]|$)')
_SEPARATORS = re.compile(r"[\s,]*")
_NEXT_ITEM = re.compile(r"\}\s*,\s*(?=\{)")


def json_rows(source: Readable, name: str, options: ReadOptions, *, is_lines: bool) -> Iterator[Row]:
    """Yield the rows of a JSON file, whether it holds lines or one array, which may be the first field of an object.

    Args:
        is_lines: the name says that it holds a value in each line; a line may then be an array of its own.

    Raises:
        RelayError: while being iterated, when the manifest is refused as a whole.
    """
    table = JsonTable(name, options)
    peeked = _Peeked(source)
    start = peeked.start.decode(errors="replace").removeprefix("\ufeff").lstrip()
    wrapped = None if is_lines else _WRAPPED_ARRAY.match(start)
    if wrapped and _TEXT_THAT_IS_NO_URL.match(start, wrapped.end()):  # pandas: orient="split"
        raise RelayError(
            f"manifest {name!r} holds an object whose first field is a list of texts that are no URLs; it must hold an "
            "array of objects or of strings, or an object in each line"
        )
    if wrapped or (_ARRAY.match(start) and not _is_array_line(start)):
        yield from _array_items(_Text(peeked, name), table, name, skip=wrapped[0] if wrapped else "")
    else:
        if not is_lines and start.startswith("{") and not _is_complete(start.partition("\n")[0]):
            raise RelayError(
                f"manifest {name!r} holds one object; it must hold an array of objects or of strings, or an object in "
                "each line"
            )
        yield from _line_values(physical_lines(peeked, name), table)
    yield from table.finish()


def _is_array_line(start: str) -> bool:
    """Whether the first line is a whole array and further lines follow: then every line is a value of its own."""
    first, _, rest = start.partition("\n")
    return bool(rest.strip()) and _is_complete(first)


def _is_complete(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _line_values(lines: Iterator[Line], table: JsonTable) -> Iterator[Row]:
    for number, text, complete in lines:
        stripped = text.strip(BLANKS)
        if stripped and complete:
            yield from table.parse(number, stripped)
        elif stripped:
            yield from table.broken(number, text, f"line longer than {MAX_LINE:,} bytes")


def _array_items(text: "_Text", table: JsonTable, name: str, *, skip: str) -> Iterator[Row]:
    """The rows of the items of an array. A broken item becomes a bad row, and reading continues with the next one.

    The line number of a row is the number of its item: many programs write a whole array as one line.
    """
    number = 0
    decoder = json.JSONDecoder()
    text.fill()
    text.skip_start(skip)
    while True:
        text.skip(_SEPARATORS)
        if text.rest(1) == "":
            raise RelayError(f"manifest {name!r} is cut short: its array is not closed; copy it again")
        if text.rest(1) == "]":
            return
        number += 1
        while True:
            try:
                value, end = decoder.raw_decode(text.buffer, text.position)
                if end < len(text.buffer) or text.ended:
                    break
                problem = "the item is too long"
            except json.JSONDecodeError as error:
                problem = f"broken JSON: {error.msg}"
            except (ValueError, RecursionError):
                problem = "broken JSON: a number is too long or the nesting too deep"
            if text.ended or len(text.buffer) - text.position > MAX_ITEM:
                end = -1
                break
            text.fill()
        shown = text.rest(200)
        if end >= 0:
            yield from table.add(number, shown, value)
            text.move_to(end)
        else:
            yield from table.broken(number, shown.partition("\n")[0], problem)
            text.move_to_next_item()


class _Peeked:
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


class _Text:
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

    def move_to_next_item(self) -> None:
        """Continue after a broken item: at the next line that is indented as this one, or behind the next `},`."""
        line_start = self.buffer.rfind("\n", 0, self.position) + 1
        indent = self.buffer[line_start : self.position]
        opening = self.rest(1)
        pattern = _NEXT_ITEM
        if not indent.strip() and line_start > 0:
            pattern = re.compile(rf"\n{indent}(?=[{re.escape(opening)}\]])|\n(?=\s*\]\s*$)")
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
