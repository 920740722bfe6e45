"""The rows of a JSON manifest: an object or a string in each line, objects over several lines, or an array of them.

The content decides which of these it is. The name matters where both are possible, as for a line that is an array.
"""

import re
from collections.abc import Iterator

from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.manifest.content import Readable
from imgrelay_dagster.relay.manifest.json_start import JsonStart, value_of_line
from imgrelay_dagster.relay.manifest.json_table import JsonTable
from imgrelay_dagster.relay.manifest.json_text import JsonText, PeekedSource
from imgrelay_dagster.relay.manifest.lines import MAX_LINE, Line, physical_lines
from imgrelay_dagster.relay.manifest.options import ReadOptions
from imgrelay_dagster.relay.manifest.rows import Row

_WRAPPED_ARRAY = re.compile(r'\{\s*"[^"\\]{1,100}"\s*:\s*(?=\[)')
_TEXT_THAT_IS_NO_URL = re.compile(r'\[\s*"[^"/]+"')
_ARRAY = re.compile(r'\[\s*(?:[{"\]]|$)')
_SEPARATORS = re.compile(r"[\s,\ufeff]*")
_NEXT_ITEM = re.compile(r"\}\s*,\s*(?=\{)")
_NEXT_OBJECT = re.compile(r"\n(?=\{)")
_WAY_OUT = "it must hold an array of objects or of strings, or an object in each line"


def json_rows(source: Readable, name: str, options: ReadOptions, *, is_lines: bool) -> Iterator[Row]:
    """Yield the rows of a JSON file: of lines, of objects over several lines, or of one array.

    The array may be the first field of an object.

    Args:
        is_lines: the name says that it holds a value in each line; a line may then be an array of its own.

    Raises:
        RelayError: while being iterated, when the manifest is refused as a whole.
    """
    table = JsonTable(name, options)
    peeked = PeekedSource(source)
    start = JsonStart(peeked)
    wrapped = None if start.has_several or (is_lines and not start.spans_lines) else _WRAPPED_ARRAY.match(start.text)
    if wrapped and _TEXT_THAT_IS_NO_URL.match(start.text, wrapped.end()):  # pandas: orient="split"
        raise RelayError(
            f"manifest {name!r} holds an object whose first field is a list of texts that are no URLs; {_WAY_OUT}"
        )
    if wrapped or (_ARRAY.match(start.text) and not start.has_whole_line):
        yield from _array_items(JsonText(peeked, name), table, name, skip=wrapped[0] if wrapped else "")
    elif start.is_object and (start.spans_lines or not (is_lines or start.has_whole_line)):
        if start.error is not None:
            problem = f"line {start.error.lineno}: broken JSON: {start.error.msg} at character {start.error.colno}"
            raise RelayError(f"manifest {name!r}, {problem}; {_WAY_OUT}")
        yield from _objects(JsonText(peeked, name), table, name)
        return
    else:
        yield from _line_values(physical_lines(peeked, name), table)
    yield from table.finish()


def _line_values(lines: Iterator[Line], table: JsonTable) -> Iterator[Row]:
    for number, text, complete in lines:
        value = value_of_line(text)
        if value and complete:
            yield from table.parse(number, value)
        elif value:
            yield from table.broken(number, text, f"line longer than {MAX_LINE:,} bytes")


def _array_items(text: JsonText, table: JsonTable, name: str, *, skip: str) -> Iterator[Row]:
    """The rows of the items of an array. A broken item becomes a bad row, and reading continues with the next one.

    The line number of a row is the number of its item: many programs write a whole array as one line.
    """
    number = 0
    text.fill()
    text.skip_start(skip)
    while True:
        text.skip(_SEPARATORS)
        if text.rest(1) == "":
            raise RelayError(f"manifest {name!r} is cut short: its array is not closed; copy it again")
        if text.rest(1) == "]":
            return
        number += 1
        yield from _item(text, table, number, None)


def _objects(text: JsonText, table: JsonTable, name: str) -> Iterator[Row]:
    """The rows of objects that follow each other, each over any number of lines; numbered as items of an array are."""
    number = 0
    text.fill()
    text.skip(_SEPARATORS)
    while text.rest(1):
        number += 1
        yield from _item(text, table, number, _NEXT_OBJECT)
        text.skip(_SEPARATORS)
    try:
        yield from table.finish()
    except RelayError as error:
        if number > 1:
            raise
        reason = str(error).removeprefix(f"manifest {name!r} ")
        raise RelayError(f"manifest {name!r} holds one object; {_WAY_OUT}; the object {reason}") from None


def _item(text: JsonText, table: JsonTable, number: int, following: re.Pattern[str] | None) -> Iterator[Row]:
    """The rows of the value at the position. `following` finds the next one behind a broken one; None in an array."""
    shown = text.rest(200)
    value, end, problem = text.next_value()
    if end >= 0:
        yield from table.add(number, shown, value)
        text.move_to(end)
    else:
        yield from table.broken(number, shown.partition("\n")[0], problem)
        text.move_behind_next(following or _next_item(text))


def _next_item(text: JsonText) -> re.Pattern[str]:
    """What the item behind a broken one follows: a line end, if it is indented as this one, or `},`."""
    indent = text.indent()
    if indent is None or indent.strip():
        return _NEXT_ITEM
    return re.compile(rf"\n{indent}(?=[{re.escape(text.rest(1))}\]])|\n(?=\s*\]\s*$)")
